// Registers convolution as Paddle operators, and checks their inputs.
#include "kernels.h"
#include "operators.h"

namespace monodepth {
namespace {

using Integers = std::vector<int>;

constexpr int64_t output_size(int64_t padded, int64_t window, int64_t stride, int64_t dilation) {
  return (padded - (dilation * (window - 1) + 1)) / stride + 1;
}

Convolution described(const Shape& x, int64_t skip_channels, const Shape& weight, const Integers& stride,
                      const Integers& padding, const Integers& dilation, int groups, bool doubled, bool gathered,
                      bool elu) {
  Convolution conv{{x[0], x[1], x[2], x[3]}, skip_channels, groups, {}, {}, {}, {}, {}, doubled, gathered, elu, {}};
  for (int i : {0, 1}) {
    conv.window[i] = weight[2 + i];
    conv.stride[i] = stride[i];
    conv.padding_before[i] = padding[2 * i];
    conv.padding_after[i] = padding[2 * i + 1];
    conv.dilation[i] = dilation[i];
  }
  const auto size = [&](int i) {
    if (x[2 + i] < 0) return x[2 + i];  // unknown until the static graph runs
    const int64_t padded = x[2 + i] * (doubled ? 2 : 1) + padding[2 * i] + padding[2 * i + 1];
    return output_size(padded, weight[2 + i], stride[i], dilation[i]);
  };
  conv.output = {x[0], weight[0], size(0), size(1)};
  return conv;
}

Shape shape_of(const Size& size) { return {size.batch, size.channels, size.height, size.width}; }

// `skip` is null if there is none.
Convolution checked(const Tensor& x, const Tensor* skip, const Tensor& weight, const Tensor& bias,
                    const Integers& stride, const Integers& padding, const Integers& dilation, int groups,
                    bool doubled, bool gathered, bool elu) {
  check(x, 4, "x");
  check(weight, 4, "weight");
  check(bias, 1, "bias");
  PD_CHECK(stride.size() == 2 && padding.size() == 4 && dilation.size() == 2 && groups > 0,
           "expected stride and dilation (vertical, horizontal), padding (top, bottom, left, right), and groups > 0");
  const Shape w = weight.shape();
  const int64_t skip_channels = skip ? skip->shape()[1] : 0;
  const Convolution conv = described(x.shape(), skip_channels, w, stride, padding, dilation, groups, doubled, gathered,
                                     elu);
  const int64_t height = conv.input_height(), width = conv.input_width();
  PD_CHECK(conv.inputs() % groups == 0 && w[0] % groups == 0 && w[1] == conv.inputs() / groups &&
               bias.shape() == Shape({w[0]}),
           "expected weight (O, I / groups, h, w) and bias (O), with I channels of x and skip together");
  PD_CHECK(conv.output.height > 0 && conv.output.width > 0, "the input is smaller than the window");
  PD_CHECK(!gathered || (w[2] == 3 && w[3] == 3), "expected a 3x3 window");
  PD_CHECK(!gathered || (height > 1 && width > 1), "reflection padding needs an input larger than 1 x 1");
  if (skip) {
    check(*skip, 4, "skip");
    PD_CHECK(skip->shape() == Shape({conv.x.batch, skip_channels, height, width}), "x and skip differ in size");
  }
  return conv;
}

const float* data_of(const Tensor* tensor) { return tensor ? tensor->data<float>() : nullptr; }

Tensor convolve(const Convolution& conv, const Tensor& x, const Tensor* skip, const Tensor& weight,
                const Tensor& bias) {
  Tensor y = empty(shape_of(conv.output));
  convolution_forward(conv, x.data<float>(), data_of(skip), weight.data<float>(), bias.data<float>(), y.data<float>());
  return y;
}

// Returns the gradients of x, skip (if there is one), weight and bias; zeros for x and bias that need none.
Tensors convolve_grad(const Convolution& conv, const Tensor& x, const Tensor* skip, const Tensor& weight,
                      const Tensor& bias, const Tensor& y, const Tensor& y_grad, bool input_grad, bool has_bias) {
  Tensors grads = {input_grad ? empty(x.shape()) : zeros(x.shape())};
  if (skip) grads.push_back(empty(skip->shape()));
  Tensor weight_grad = empty(weight.shape()), bias_grad = has_bias ? empty(bias.shape()) : zeros(bias.shape());
  convolution_backward(conv, x.data<float>(), data_of(skip), weight.data<float>(), y.data<float>(),
                       y_grad.data<float>(), input_grad ? grads[0].data<float>() : nullptr,
                       skip ? grads[1].data<float>() : nullptr, weight_grad.data<float>(),
                       has_bias ? bias_grad.data<float>() : nullptr);
  grads.push_back(weight_grad);
  grads.push_back(bias_grad);
  return grads;
}

// A plain convolution, zero-padded. Without `input_grad`, the input needs no gradient; without `has_bias`, bias is zero.
Tensors convolution(const Tensor& x, const Tensor& weight, const Tensor& bias, const Integers& stride,
                    const Integers& padding, const Integers& dilation, int groups, bool, bool) {
  const Convolution conv =
      checked(x, nullptr, weight, bias, stride, padding, dilation, groups, false, false, false);
  return {convolve(conv, x, nullptr, weight, bias)};
}

Tensors convolution_grad(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y_grad,
                         const Integers& stride, const Integers& padding, const Integers& dilation, int groups,
                         bool input_grad, bool has_bias) {
  const Convolution conv =
      checked(x, nullptr, weight, bias, stride, padding, dilation, groups, false, false, false);
  return convolve_grad(conv, x, nullptr, weight, bias, y_grad, y_grad, input_grad, has_bias);
}

std::vector<Shape> convolution_shape(const Shape& x, const Shape& weight, const Shape&, const Integers& stride,
                                     const Integers& padding, const Integers& dilation, int groups, bool, bool) {
  return {shape_of(described(x, 0, weight, stride, padding, dilation, groups, false, false, false).output)};
}

std::vector<DataType> convolution_type(DataType x, DataType, DataType) { return {x}; }

// The decoder's 3x3 convolutions, reflection-padded: of x, upsampled by 2 if `doubled`.
Convolution decoder_convolution(const Tensor& x, const Tensor* skip, const Tensor& weight, const Tensor& bias,
                                bool doubled, bool elu) {
  return checked(x, skip, weight, bias, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, doubled, true, elu);
}

Tensors block(const Tensor& x, const Tensor& weight, const Tensor& bias, bool doubled, bool elu) {
  return {convolve(decoder_convolution(x, nullptr, weight, bias, doubled, elu), x, nullptr, weight, bias)};
}

Tensors block_grad(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y, const Tensor& y_grad,
                   bool doubled, bool elu) {
  const Convolution conv = decoder_convolution(x, nullptr, weight, bias, doubled, elu);
  return convolve_grad(conv, x, nullptr, weight, bias, y, y_grad, true, true);
}

std::vector<Shape> block_shape(const Shape& x, const Shape& weight, const Shape&, bool doubled, bool) {
  return {shape_of(described(x, 0, weight, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, doubled, true, false).output)};
}

std::vector<DataType> block_type(DataType x, DataType, DataType) { return {x}; }

Tensors skip_block(const Tensor& x, const Tensor& skip, const Tensor& weight, const Tensor& bias, bool doubled,
                   bool elu) {
  return {convolve(decoder_convolution(x, &skip, weight, bias, doubled, elu), x, &skip, weight, bias)};
}

Tensors skip_block_grad(const Tensor& x, const Tensor& skip, const Tensor& weight, const Tensor& bias,
                        const Tensor& y, const Tensor& y_grad, bool doubled, bool elu) {
  const Convolution conv = decoder_convolution(x, &skip, weight, bias, doubled, elu);
  return convolve_grad(conv, x, &skip, weight, bias, y, y_grad, true, true);
}

std::vector<Shape> skip_block_shape(const Shape&, const Shape& skip, const Shape& weight, const Shape&, bool, bool) {
  return {{skip[0], weight[0], skip[2], skip[3]}};
}

std::vector<DataType> skip_block_type(DataType x, DataType, DataType, DataType) { return {x}; }

}  // namespace
}  // namespace monodepth

PD_BUILD_OP(monodepth_convolution)
    .Inputs({"X", "Weight", "Bias"})
    .Outputs({"Y"})
    .Attrs({"stride: std::vector<int>", "padding: std::vector<int>", "dilation: std::vector<int>", "groups: int",
            "input_grad: bool", "has_bias: bool"})
    .SetKernelFn(PD_KERNEL(monodepth::convolution))
    .SetInferShapeFn(PD_INFER_SHAPE(monodepth::convolution_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(monodepth::convolution_type));

PD_BUILD_GRAD_OP(monodepth_convolution)
    .Inputs({"X", "Weight", "Bias", paddle::Grad("Y")})
    .Outputs({paddle::Grad("X"), paddle::Grad("Weight"), paddle::Grad("Bias")})
    .Attrs({"stride: std::vector<int>", "padding: std::vector<int>", "dilation: std::vector<int>", "groups: int",
            "input_grad: bool", "has_bias: bool"})
    .SetKernelFn(PD_KERNEL(monodepth::convolution_grad));

PD_BUILD_OP(monodepth_block)
    .Inputs({"X", "Weight", "Bias"})
    .Outputs({"Y"})
    .Attrs({"doubled: bool", "elu: bool"})
    .SetKernelFn(PD_KERNEL(monodepth::block))
    .SetInferShapeFn(PD_INFER_SHAPE(monodepth::block_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(monodepth::block_type));

PD_BUILD_GRAD_OP(monodepth_block)
    .Inputs({"X", "Weight", "Bias", "Y", paddle::Grad("Y")})
    .Outputs({paddle::Grad("X"), paddle::Grad("Weight"), paddle::Grad("Bias")})
    .Attrs({"doubled: bool", "elu: bool"})
    .SetKernelFn(PD_KERNEL(monodepth::block_grad));

PD_BUILD_OP(monodepth_skip_block)
    .Inputs({"X", "Skip", "Weight", "Bias"})
    .Outputs({"Y"})
    .Attrs({"doubled: bool", "elu: bool"})
    .SetKernelFn(PD_KERNEL(monodepth::skip_block))
    .SetInferShapeFn(PD_INFER_SHAPE(monodepth::skip_block_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(monodepth::skip_block_type));

PD_BUILD_GRAD_OP(monodepth_skip_block)
    .Inputs({"X", "Skip", "Weight", "Bias", "Y", paddle::Grad("Y")})
    .Outputs({paddle::Grad("X"), paddle::Grad("Skip"), paddle::Grad("Weight"), paddle::Grad("Bias")})
    .Attrs({"doubled: bool", "elu: bool"})
    .SetKernelFn(PD_KERNEL(monodepth::skip_block_grad));
