// Kernels on plain arrays: contiguous float32 (batch, channels, height, width). operators.cc wraps them as operators.
#pragma once

#include <cstdint>

namespace monodepth {

struct Size {
  int64_t batch, channels, height, width;
};

// Maps index `i` in [-1, size] of a row or column padded by reflection to the index of the pixel it repeats.
inline int64_t reflected(int64_t i, int64_t size) { return i < 0 ? -i : (i >= size ? 2 * size - 2 - i : i); }

// photometric.cc: prediction and target have `size`; error is (batch, 1, height, width).
void photometric_forward(const float* prediction, const float* target, Size size, float* error);
void photometric_backward(const float* prediction, const float* target, const float* error_grad, Size size,
                          float* prediction_grad);

// warp.cc: depth is (batch, 1, height, width); homography (batch, 3, 3) and offset (batch, 3) project a target pixel
// (x, y) to depth * homography (x, y, 1) + offset in homogeneous source pixels.
void warp_forward(const float* image, const float* depth, const float* homography, const float* offset, Size size,
                  float* warped);
void warp_backward(const float* image, const float* depth, const float* homography, const float* offset,
                   const float* warped_grad, Size size, float* depth_grad, float* homography_grad, float* offset_grad);

// convolution.cc: 3x3 convolution of stride 1 with reflection or zero padding, then an optional ELU. The input is `x`,
// upsampled by 2 (nearest neighbour) if `doubled`, concatenated along the channels with `skip` if there is one.
struct Convolution {
  Size output;  // `channels` of the output
  int64_t x_channels, skip_channels;
  bool doubled, reflect, elu;
};
void convolution_forward(const Convolution& conv, const float* x, const float* skip, const float* weight,
                         const float* bias, float* y);
void convolution_input_grad(const Convolution& conv, const float* y, const float* y_grad, const float* weight,
                            float* x_grad, float* skip_grad);
void convolution_weight_grad(const Convolution& conv, const float* x, const float* skip, const float* y,
                             const float* y_grad, float* weight_grad, float* bias_grad);

}  // namespace monodepth
