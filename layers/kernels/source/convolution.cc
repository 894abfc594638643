// Convolutions and their gradients through oneDNN, in the memory layouts that it prefers.
//
// The input of a decoder's convolution (upsampled, concatenated, padded by reflection) is built for as many images at a
// time as fit the cache, so it is never stored as a whole. oneDNN itself keeps the primitives it has generated.
#include <algorithm>
#include <optional>
#include <unordered_map>
#include <vector>

#include "kernels.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace monodepth {
namespace {

using dnnl::memory;
using Arguments = std::unordered_map<int, memory>;
using Layout = memory::format_tag;

constexpr int64_t kCacheFloats = 1 << 20;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

memory::desc layout(const memory::dims& dimensions, Layout tag) {
  return memory::desc(dimensions, memory::data_type::f32, tag);
}

// A view of an array that oneDNN may only read if it was constant.
memory view(const memory::desc& of, const float* data) { return memory(of, engine(), const_cast<float*>(data)); }

float* data_of(const memory& x) { return static_cast<float*>(x.get_data_handle()); }

void execute(const dnnl::primitive& primitive, const Arguments& arguments) {
  dnnl::stream stream(engine());
  primitive.execute(stream, arguments);
  stream.wait();
}

void copy(const memory& from, const memory& to) {
  execute(dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

// Returns `x` in another layout; without a copy if it has it already.
memory in_layout(const memory& x, const memory::desc& wanted) {
  if (x.get_desc() == wanted) return x;
  memory result(wanted, engine());
  copy(x, result);
  return result;
}

// The output of a primitive: written to `target` directly if the layouts agree, otherwise by `finish`.
class Output {
 public:
  Output(const memory& target, const memory::desc& produced)
      : target_(target), produced_(target.get_desc() == produced ? target : memory(produced, engine())) {}

  const memory& produced() const { return produced_; }
  void finish() const {
    if (data_of(produced_) != data_of(target_)) copy(produced_, target_);
  }

 private:
  memory target_, produced_;
};

// The shapes of a convolution of `images` images as oneDNN sees it.
struct Shapes {
  Shapes(const Convolution& conv, int64_t images) {
    const int64_t border = conv.gathered ? 2 : 0;
    const Size out = conv.output;
    source = {images, conv.inputs(), conv.input_height() + border, conv.input_width() + border};
    target = {images, out.channels, out.height, out.width};
    weight = {out.channels, conv.inputs() / conv.groups, conv.window[0], conv.window[1]};
    if (conv.groups > 1) {
      weight[0] /= conv.groups;
      weight.insert(weight.begin(), conv.groups);
    }
    weight_layout = conv.groups > 1 ? Layout::goihw : Layout::oihw;
    strides = {conv.stride[0], conv.stride[1]};
    dilation = {conv.dilation[0] - 1, conv.dilation[1] - 1};
    padding_before = padding_after = {0, 0};
    if (!conv.gathered) {
      padding_before = {conv.padding_before[0], conv.padding_before[1]};
      padding_after = {conv.padding_after[0], conv.padding_after[1]};
    }
  }

  memory::desc plain_source() const { return layout(source, Layout::nchw); }
  memory::desc plain_target() const { return layout(target, Layout::nchw); }
  memory::desc plain_weight() const { return layout(weight, weight_layout); }
  memory::desc bias() const { return layout({target[1]}, Layout::x); }

  memory::dims source, target, weight, strides, dilation, padding_before, padding_after;
  Layout weight_layout;
};

// Scratch memory is the caller's, because primitives are shared by threads.
dnnl::primitive_attr attributes(bool elu) {
  dnnl::primitive_attr result;
  result.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (elu) {
    dnnl::post_ops after;
    after.append_eltwise(dnnl::algorithm::eltwise_elu, 1.0f, 0.0f);
    result.set_post_ops(after);
  }
  return result;
}

dnnl::convolution_forward::primitive_desc forward_of(const Shapes& s, bool elu) {
  return {engine(), dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct,
          layout(s.source, Layout::any), layout(s.weight, Layout::any), s.bias(), layout(s.target, Layout::any),
          s.strides, s.dilation, s.padding_before, s.padding_after, attributes(elu)};
}

dnnl::convolution_backward_data::primitive_desc backward_data_of(const Shapes& s) {
  return {engine(), dnnl::algorithm::convolution_direct, layout(s.source, Layout::any), layout(s.weight, Layout::any),
          layout(s.target, Layout::any), s.strides, s.dilation, s.padding_before, s.padding_after, forward_of(s, false),
          attributes(false)};
}

dnnl::convolution_backward_weights::primitive_desc backward_weights_of(const Shapes& s) {
  return {engine(), dnnl::algorithm::convolution_direct, layout(s.source, Layout::any), layout(s.weight, Layout::any),
          layout(s.target, Layout::any), s.strides, s.dilation, s.padding_before, s.padding_after, forward_of(s, false),
          attributes(false)};
}

// Returns how many images to convolve at a time: a divisor of the batch.
int64_t images_at_a_time(const Convolution& conv) {
  const Shapes whole(conv, conv.x.batch);
  const int64_t per_image = std::max(whole.source[1] * whole.source[2] * whole.source[3],
                                     whole.target[1] * whole.target[2] * whole.target[3]);
  int64_t images = std::clamp<int64_t>(kCacheFloats / per_image, 1, conv.x.batch);
  while (conv.x.batch % images) --images;
  return images;
}

// Back-propagates a gradient through ELU, given its output.
void elu_grad(const float* y, const float* y_grad, int64_t size, float* grad) {
#pragma omp parallel for simd
  for (int64_t i = 0; i < size; ++i) grad[i] = y_grad[i] * (y[i] > 0 ? 1.0f : y[i] + 1.0f);
}

// Images `first`, `first + 1`, ... of the arrays of a batch, as many as `shapes` has.
class Images {
 public:
  Images(const Convolution& conv, const Shapes& shapes, int64_t first)
      : conv_(conv),
        shapes_(shapes),
        first_(first),
        x_size_(conv.x.channels * conv.x.height * conv.x.width),
        skip_size_(conv.skip_channels * conv.input_height() * conv.input_width()) {}

  memory source(const float* x, const float* skip) const {
    if (!conv_.gathered) return view(shapes_.plain_source(), x + first_ * x_size_);
    memory padded(shapes_.plain_source(), engine());
    gather_input(conv_, x + first_ * x_size_, skip + first_ * skip_size_, shapes_.source[0], data_of(padded));
    return padded;
  }

  void scatter(const memory& source_grad, float* x_grad, float* skip_grad) const {
    scatter_input_grad(conv_, data_of(source_grad), shapes_.source[0], x_grad + first_ * x_size_,
                       skip_grad + first_ * skip_size_);
  }

  memory target(const float* y) const { return view(shapes_.plain_target(), y + first_ * target_size()); }

  // The gradient of the output, back-propagated through the activation.
  memory target_grad(const float* y, const float* y_grad) const {
    if (!conv_.elu) return target(y_grad);
    memory result(shapes_.plain_target(), engine());
    elu_grad(y + first_ * target_size(), y_grad + first_ * target_size(), shapes_.target[0] * target_size(),
             data_of(result));
    return result;
  }

 private:
  int64_t target_size() const { return shapes_.target[1] * shapes_.target[2] * shapes_.target[3]; }

  const Convolution& conv_;
  const Shapes& shapes_;
  int64_t first_, x_size_, skip_size_;
};

// Adds the sum of each channel, (images, channels, height, width); in double precision, because pixels are many.
void add_channel_sums(const memory& x, double* sums) {
  const memory::dims size = x.get_desc().get_dims();
#pragma omp parallel for
  for (int64_t channel = 0; channel < size[1]; ++channel) {
    for (int64_t b = 0; b < size[0]; ++b) {
      const float* from = data_of(x) + (b * size[1] + channel) * size[2] * size[3];
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < size[2] * size[3]; ++i) sum += from[i];
      sums[channel] += sum;
    }
  }
}

void add(const memory& x, const memory& sum) {
  const int64_t size = sum.get_desc().get_size() / 4;
  for (int64_t i = 0; i < size; ++i) data_of(sum)[i] += data_of(x)[i];
}

}  // namespace

void convolution_forward(const Convolution& conv, const float* x, const float* skip, const float* weight,
                         const float* bias, float* y) {
  if (is_narrow(conv)) return narrow_forward(conv, x, skip, weight, bias, y);
  const Shapes shapes(conv, images_at_a_time(conv));
  const auto pd = forward_of(shapes, conv.elu);
  const dnnl::convolution_forward primitive(pd);
  const memory weights = in_layout(view(shapes.plain_weight(), weight), pd.weights_desc());
  const memory scratch(pd.scratchpad_desc(), engine());
  for (int64_t first = 0; first < conv.x.batch; first += shapes.source[0]) {
    const Images images(conv, shapes, first);
    const Output out(images.target(y), pd.dst_desc());
    execute(primitive, {{DNNL_ARG_SRC, in_layout(images.source(x, skip), pd.src_desc())},
                        {DNNL_ARG_WEIGHTS, weights},
                        {DNNL_ARG_BIAS, view(shapes.bias(), bias)},
                        {DNNL_ARG_DST, out.produced()},
                        {DNNL_ARG_SCRATCHPAD, scratch}});
    out.finish();
  }
}

namespace {

// Gradient of the input, one chunk of images after another.
class InputGradient {
 public:
  InputGradient(const Convolution& conv, const Shapes& shapes, const float* weight)
      : conv_(conv),
        pd_(backward_data_of(shapes)),
        primitive_(pd_),
        weights_(in_layout(view(shapes.plain_weight(), weight), pd_.weights_desc())),
        scratch_(pd_.scratchpad_desc(), engine()),
        plain_(shapes.plain_source()) {}

  void run(const Images& images, const memory& target_grad, float* x_grad, float* skip_grad) const {
    const memory plain = conv_.gathered ? memory(plain_, engine()) : images.source(x_grad, nullptr);
    const Output grad(plain, pd_.diff_src_desc());
    execute(primitive_, {{DNNL_ARG_DIFF_DST, in_layout(target_grad, pd_.diff_dst_desc())},
                         {DNNL_ARG_WEIGHTS, weights_},
                         {DNNL_ARG_DIFF_SRC, grad.produced()},
                         {DNNL_ARG_SCRATCHPAD, scratch_}});
    grad.finish();
    if (conv_.gathered) images.scatter(plain, x_grad, skip_grad);
  }

 private:
  const Convolution& conv_;
  dnnl::convolution_backward_data::primitive_desc pd_;
  dnnl::convolution_backward_data primitive_;
  memory weights_, scratch_;
  memory::desc plain_;
};

// Gradient of the weight, summed over chunks of images.
class WeightGradient {
 public:
  explicit WeightGradient(const Shapes& shapes)
      : shapes_(shapes),
        pd_(backward_weights_of(shapes)),
        primitive_(pd_),
        scratch_(pd_.scratchpad_desc(), engine()),
        sum_(pd_.diff_weights_desc(), engine()) {}

  // The layout of the output's gradient that `run` reads without a copy.
  memory::desc target_layout() const { return pd_.diff_dst_desc(); }

  void run(const memory& source, const memory& target_grad) {
    const memory weight = first_ ? sum_ : memory(pd_.diff_weights_desc(), engine());
    execute(primitive_, {{DNNL_ARG_SRC, in_layout(source, pd_.src_desc())},
                         {DNNL_ARG_DIFF_DST, in_layout(target_grad, pd_.diff_dst_desc())},
                         {DNNL_ARG_DIFF_WEIGHTS, weight},
                         {DNNL_ARG_SCRATCHPAD, scratch_}});
    if (!first_) add(weight, sum_);
    first_ = false;
  }

  void finish(float* weight_grad) const { copy(sum_, view(shapes_.plain_weight(), weight_grad)); }

 private:
  const Shapes& shapes_;
  dnnl::convolution_backward_weights::primitive_desc pd_;
  dnnl::convolution_backward_weights primitive_;
  memory scratch_, sum_;
  bool first_ = true;
};

}  // namespace

void convolution_backward(const Convolution& conv, const float* x, const float* skip, const float* weight,
                          const float* y, const float* y_grad, float* x_grad, float* skip_grad, float* weight_grad,
                          float* bias_grad) {
  if (is_narrow(conv)) {
    narrow_weight_grad(conv, x, skip, y_grad, weight_grad);
    if (bias_grad) {
      std::vector<double> sums(conv.output.channels);
      add_channel_sums(view(Shapes(conv, conv.x.batch).plain_target(), y_grad), sums.data());
      std::copy(sums.begin(), sums.end(), bias_grad);
    }
    if (x_grad) narrow_input_grad(conv, weight, y_grad, x_grad, skip_grad);
    return;
  }
  const Shapes shapes(conv, images_at_a_time(conv));
  WeightGradient of_weight(shapes);
  std::vector<double> bias_sums(conv.output.channels);
  std::optional<InputGradient> of_input;
  if (x_grad) of_input.emplace(conv, shapes, weight);
  for (int64_t first = 0; first < conv.x.batch; first += shapes.source[0]) {
    const Images images(conv, shapes, first);
    const memory plain = images.target_grad(y, y_grad);
    if (bias_grad) add_channel_sums(plain, bias_sums.data());
    const memory target_grad = in_layout(plain, of_weight.target_layout());
    of_weight.run(images.source(x, skip), target_grad);
    if (of_input) of_input->run(images, target_grad, x_grad, skip_grad);
  }
  of_weight.finish(weight_grad);
  if (bias_grad) std::copy(bias_sums.begin(), bias_sums.end(), bias_grad);
}

}  // namespace monodepth
