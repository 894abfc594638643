// Registers the kernels of the loss as Paddle operators, and checks their inputs.
#include "kernels.h"
#include "operators.h"

namespace monodepth {
namespace {

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
