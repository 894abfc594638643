// Registers the kernels as Paddle operators, and checks their inputs.
#include <vector>

#include "kernels.h"
#include "paddle/extension.h"

namespace monodepth {
namespace {

using paddle::DataType;
using paddle::Tensor;
using Shape = std::vector<int64_t>;
using Tensors = std::vector<Tensor>;

void check(const Tensor& x, size_t dimensions, const char* name) {
  PD_CHECK(x.is_cpu() && x.dtype() == DataType::FLOAT32 && x.shape().size() == dimensions, name,
           ": expected a float32 CPU tensor of ", dimensions, " dimensions");
}

Size size_of(const Tensor& x) {
  const Shape shape = x.shape();
  return {shape[0], shape[1], shape[2], shape[3]};
}

Tensor empty(const Shape& shape) { return paddle::empty(shape, DataType::FLOAT32, paddle::CPUPlace()); }

Tensors photometric(const Tensor& prediction, const Tensor& target) {
  check(prediction, 4, "prediction");
  check(target, 4, "target");
  const Size size = size_of(prediction);
  PD_CHECK(prediction.shape() == target.shape(), "prediction and target differ in size");
  PD_CHECK(size.height > 2 && size.width > 2, "expected images larger than 2 x 2");
  Tensor error = empty({size.batch, 1, size.height, size.width});
  photometric_forward(prediction.data<float>(), target.data<float>(), size, error.data<float>());
  return {error};
}

Tensors photometric_grad(const Tensor& prediction, const Tensor& target, const Tensor& error_grad) {
  Tensor prediction_grad = empty(prediction.shape());
  photometric_backward(prediction.data<float>(), target.data<float>(), error_grad.data<float>(), size_of(prediction),
                       prediction_grad.data<float>());
  return {prediction_grad};
}

std::vector<Shape> photometric_shape(const Shape& prediction, const Shape&) {
  return {{prediction[0], 1, prediction[2], prediction[3]}};
}

std::vector<DataType> photometric_type(DataType prediction, DataType) { return {prediction}; }

Tensors warp(const Tensor& image, const Tensor& depth, const Tensor& homography, const Tensor& offset) {
  check(image, 4, "image");
  check(depth, 4, "depth");
  check(homography, 3, "homography");
  check(offset, 3, "offset");
  const Size size = size_of(image);
  PD_CHECK(depth.shape() == Shape({size.batch, 1, size.height, size.width}), "image and depth differ in size");
  PD_CHECK(size.height > 1 && size.width > 1, "expected images larger than 1 x 1");
  PD_CHECK(homography.shape() == Shape({size.batch, 3, 3}) && offset.shape() == Shape({size.batch, 3, 1}),
           "expected homography (B, 3, 3) and offset (B, 3, 1)");
  Tensor warped = empty(image.shape());
  warp_forward(image.data<float>(), depth.data<float>(), homography.data<float>(), offset.data<float>(), size,
               warped.data<float>());
  return {warped};
}

Tensors warp_grad(const Tensor& image, const Tensor& depth, const Tensor& homography, const Tensor& offset,
                  const Tensor& warped_grad) {
  Tensor depth_grad = empty(depth.shape()), homography_grad = empty(homography.shape());
  Tensor offset_grad = empty(offset.shape());
  warp_backward(image.data<float>(), depth.data<float>(), homography.data<float>(), offset.data<float>(),
                warped_grad.data<float>(), size_of(image), depth_grad.data<float>(), homography_grad.data<float>(),
                offset_grad.data<float>());
  return {depth_grad, homography_grad, offset_grad};
}

std::vector<Shape> warp_shape(const Shape& image, const Shape&, const Shape&, const Shape&) { return {image}; }

std::vector<DataType> warp_type(DataType image, DataType, DataType, DataType) { return {image}; }

Convolution convolution_of(const Shape& x, int64_t skip_channels, int64_t outputs, bool doubled, bool reflect,
                           bool elu) {
  const int64_t factor = doubled ? 2 : 1;
  return {{x[0], outputs, x[2] * factor, x[3] * factor}, x[1], skip_channels, doubled, reflect, elu};
}

Convolution checked(const Tensor& x, const Tensor* skip, const Tensor& weight, const Tensor& bias, bool doubled,
                    bool reflect, bool elu) {
  check(x, 4, "x");
  check(weight, 4, "weight");
  check(bias, 1, "bias");
  const Shape w = weight.shape();
  const int64_t skip_channels = skip ? skip->shape()[1] : 0;
  const Convolution conv = convolution_of(x.shape(), skip_channels, w[0], doubled, reflect, elu);
  const Size out = conv.output;
  PD_CHECK(w == Shape({out.channels, conv.x_channels + skip_channels, 3, 3}) && bias.shape() == Shape({out.channels}),
           "expected weight (O, I, 3, 3) and bias (O), with I channels of x and skip together");
  PD_CHECK(out.height > 1 && out.width > 1, "reflection padding needs an output larger than 1 x 1");
  if (skip) {
    check(*skip, 4, "skip");
    PD_CHECK(skip->shape() == Shape({out.batch, skip_channels, out.height, out.width}), "x and skip differ in size");
  }
  return conv;
}

const float* data_of(const Tensor* tensor) { return tensor ? tensor->data<float>() : nullptr; }

Tensor convolve(const Tensor& x, const Tensor* skip, const Tensor& weight, const Tensor& bias, bool doubled,
                bool reflect, bool elu) {
  const Convolution conv = checked(x, skip, weight, bias, doubled, reflect, elu);
  Tensor y = empty({conv.output.batch, conv.output.channels, conv.output.height, conv.output.width});
  convolution_forward(conv, x.data<float>(), data_of(skip), weight.data<float>(), bias.data<float>(), y.data<float>());
  return y;
}

// Returns the gradients of x, skip (if there is one), weight and bias.
Tensors convolve_grad(const Tensor& x, const Tensor* skip, const Tensor& weight, const Tensor& bias, const Tensor& y,
                      const Tensor& y_grad, bool doubled, bool reflect, bool elu) {
  const Convolution conv = checked(x, skip, weight, bias, doubled, reflect, elu);
  Tensors grads = {empty(x.shape())};
  if (skip) grads.push_back(empty(skip->shape()));
  Tensor weight_grad = empty(weight.shape()), bias_grad = empty(bias.shape());
  convolution_input_grad(conv, y.data<float>(), y_grad.data<float>(), weight.data<float>(), grads[0].data<float>(),
                         skip ? grads[1].data<float>() : nullptr);
  convolution_weight_grad(conv, x.data<float>(), data_of(skip), y.data<float>(), y_grad.data<float>(),
                          weight_grad.data<float>(), bias_grad.data<float>());
  grads.push_back(weight_grad);
  grads.push_back(bias_grad);
  return grads;
}

Tensors convolution(const Tensor& x, const Tensor& weight, const Tensor& bias, bool doubled, bool reflect, bool elu) {
  return {convolve(x, nullptr, weight, bias, doubled, reflect, elu)};
}

Tensors convolution_grad(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y,
                         const Tensor& y_grad, bool doubled, bool reflect, bool elu) {
  return convolve_grad(x, nullptr, weight, bias, y, y_grad, doubled, reflect, elu);
}

Tensors skip_convolution(const Tensor& x, const Tensor& skip, const Tensor& weight, const Tensor& bias, bool doubled,
                         bool reflect, bool elu) {
  return {convolve(x, &skip, weight, bias, doubled, reflect, elu)};
}

Tensors skip_convolution_grad(const Tensor& x, const Tensor& skip, const Tensor& weight, const Tensor& bias,
                              const Tensor& y, const Tensor& y_grad, bool doubled, bool reflect, bool elu) {
  return convolve_grad(x, &skip, weight, bias, y, y_grad, doubled, reflect, elu);
}

std::vector<Shape> convolution_shape(const Shape& x, const Shape& weight, const Shape&, bool doubled, bool, bool) {
  const int64_t factor = doubled ? 2 : 1;
  return {{x[0], weight[0], x[2] * factor, x[3] * factor}};
}

std::vector<DataType> convolution_type(DataType x, DataType, DataType) { return {x}; }

std::vector<Shape> skip_convolution_shape(const Shape&, const Shape& skip, const Shape& weight, const Shape&, bool,
                                          bool, bool) {
  return {{skip[0], weight[0], skip[2], skip[3]}};
}

std::vector<DataType> skip_convolution_type(DataType x, DataType, DataType, DataType) { return {x}; }

}  // namespace
}  // namespace monodepth

PD_BUILD_OP(monodepth_photometric)
    .Inputs({"Prediction", "Target"})
    .Outputs({"Error"})
    .SetKernelFn(PD_KERNEL(monodepth::photometric))
    .SetInferShapeFn(PD_INFER_SHAPE(monodepth::photometric_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(monodepth::photometric_type));

PD_BUILD_GRAD_OP(monodepth_photometric)
    .Inputs({"Prediction", "Target", paddle::Grad("Error")})
    .Outputs({paddle::Grad("Prediction")})
    .SetKernelFn(PD_KERNEL(monodepth::photometric_grad));

PD_BUILD_OP(monodepth_warp)
    .Inputs({"Image", "Depth", "Homography", "Offset"})
    .Outputs({"Warped"})
    .SetKernelFn(PD_KERNEL(monodepth::warp))
    .SetInferShapeFn(PD_INFER_SHAPE(monodepth::warp_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(monodepth::warp_type));

PD_BUILD_GRAD_OP(monodepth_warp)
    .Inputs({"Image", "Depth", "Homography", "Offset", paddle::Grad("Warped")})
    .Outputs({paddle::Grad("Depth"), paddle::Grad("Homography"), paddle::Grad("Offset")})
    .SetKernelFn(PD_KERNEL(monodepth::warp_grad));

PD_BUILD_OP(monodepth_convolution)
    .Inputs({"X", "Weight", "Bias"})
    .Outputs({"Y"})
    .Attrs({"doubled: bool", "reflect: bool", "elu: bool"})
    .SetKernelFn(PD_KERNEL(monodepth::convolution))
    .SetInferShapeFn(PD_INFER_SHAPE(monodepth::convolution_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(monodepth::convolution_type));

PD_BUILD_GRAD_OP(monodepth_convolution)
    .Inputs({"X", "Weight", "Bias", "Y", paddle::Grad("Y")})
    .Outputs({paddle::Grad("X"), paddle::Grad("Weight"), paddle::Grad("Bias")})
    .Attrs({"doubled: bool", "reflect: bool", "elu: bool"})
    .SetKernelFn(PD_KERNEL(monodepth::convolution_grad));

PD_BUILD_OP(monodepth_skip_convolution)
    .Inputs({"X", "Skip", "Weight", "Bias"})
    .Outputs({"Y"})
    .Attrs({"doubled: bool", "reflect: bool", "elu: bool"})
    .SetKernelFn(PD_KERNEL(monodepth::skip_convolution))
    .SetInferShapeFn(PD_INFER_SHAPE(monodepth::skip_convolution_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(monodepth::skip_convolution_type));

PD_BUILD_GRAD_OP(monodepth_skip_convolution)
    .Inputs({"X", "Skip", "Weight", "Bias", "Y", paddle::Grad("Y")})
    .Outputs({paddle::Grad("X"), paddle::Grad("Skip"), paddle::Grad("Weight"), paddle::Grad("Bias")})
    .Attrs({"doubled: bool", "reflect: bool", "elu: bool"})
    .SetKernelFn(PD_KERNEL(monodepth::skip_convolution_grad));
