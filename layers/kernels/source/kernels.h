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

// convolution.cc: convolution, then an optional ELU. The input is `x`, upsampled by 2 (nearest neighbour) if `doubled`,
// concatenated along the channels with `skip` if there is one. If `gathered`, it is padded by reflection, with a 3x3
// window, stride and padding 1; otherwise with zeros, and there is neither upsampling nor `skip`.
struct Convolution {
  Size x;  // before upsampling
  int64_t skip_channels, groups;
  int64_t window[2], stride[2], dilation[2];    // vertical, horizontal
  int64_t padding_before[2], padding_after[2];  // top and left; bottom and right
  bool doubled, gathered, elu;
  Size output;

  int64_t inputs() const { return x.channels + skip_channels; }
  int64_t input_height() const { return x.height * (doubled ? 2 : 1); }
  int64_t input_width() const { return x.width * (doubled ? 2 : 1); }
};
void convolution_forward(const Convolution& conv, const float* x, const float* skip, const float* weight,
                         const float* bias, float* y);
// `x_grad`, `skip_grad` and `bias_grad` are null if they are not needed.
void convolution_backward(const Convolution& conv, const float* x, const float* skip, const float* weight,
                          const float* y, const float* y_grad, float* x_grad, float* skip_grad, float* weight_grad,
                          float* bias_grad);

// convolution_input.cc: for `gathered` convolutions, the input of some images with one pixel of padding,
// (images, inputs, height + 2, width + 2), and the way back of its gradient, which it overwrites.
void gather_input(const Convolution& conv, const float* x, const float* skip, int64_t images, float* padded);
void scatter_input_grad(const Convolution& conv, float* padded, int64_t images, float* x_grad, float* skip_grad);

// convolution_narrow.cc: the same as convolution_forward and _backward for `gathered` convolutions with few outputs.
bool is_narrow(const Convolution& conv);
void narrow_forward(const Convolution& conv, const float* x, const float* skip, const float* weight,
                    const float* bias, float* y);
void narrow_weight_grad(const Convolution& conv, const float* x, const float* skip, const float* y_grad,
                        float* weight_grad);
void narrow_input_grad(const Convolution& conv, const float* weight, const float* y_grad, float* x_grad,
                       float* skip_grad);

}  // namespace monodepth
