// The input of the decoder's convolutions, upsampled, concatenated and padded, and the way back of its gradient.
#include <cstring>
#include <utility>

#include "kernels.h"

namespace monodepth {
namespace {

// Copies row `line` of an input channel of an image to `to`, with one pixel of padding at each end.
void gather_row(const Convolution& conv, const float* x, const float* skip, int64_t channel, int64_t line, float* to) {
  const int64_t height = conv.input_height(), width = conv.input_width();
  float* out = to + 1;
  line = reflected(line, height);
  if (channel >= conv.x.channels) {
    std::memcpy(out, skip + ((channel - conv.x.channels) * height + line) * width, 4 * width);
  } else if (conv.doubled) {
    const float* from = x + (channel * conv.x.height + line / 2) * conv.x.width;
    for (int64_t i = 0; i < conv.x.width; ++i) out[2 * i] = out[2 * i + 1] = from[i];
  } else {
    std::memcpy(out, x + (channel * height + line) * width, 4 * width);
  }
  out[-1] = out[1];
  out[width] = out[width - 2];
}

// Adds the gradients of padding pixels to the pixels that they repeat.
void fold_padding(float* padded, int64_t height, int64_t width) {
  const int64_t stride = width + 2;
  for (const auto& [from, to] : {std::pair<int64_t, int64_t>(0, 2), {height + 1, height - 1}}) {
    for (int64_t i = 0; i < stride; ++i) padded[to * stride + i] += padded[from * stride + i];
  }
  for (int64_t line = 1; line <= height; ++line) {
    float* row = padded + line * stride;
    row[2] += row[0];
    row[width - 1] += row[width + 1];
  }
}

// Distributes the gradient of a padded channel of an image, the reverse of `gather_row` for all its rows.
void scatter_channel(const Convolution& conv, float* padded, int64_t channel, float* x_grad, float* skip_grad) {
  const int64_t height = conv.input_height(), width = conv.input_width(), stride = width + 2;
  fold_padding(padded, height, width);
  const float* from = padded + stride + 1;
  if (channel >= conv.x.channels || !conv.doubled) {
    float* to = channel >= conv.x.channels ? skip_grad + (channel - conv.x.channels) * height * width
                                           : x_grad + channel * height * width;
    for (int64_t line = 0; line < height; ++line) std::memcpy(to + line * width, from + line * stride, 4 * width);
    return;
  }
  for (int64_t line = 0; line < conv.x.height; ++line, from += 2 * stride) {
    float* to = x_grad + (channel * conv.x.height + line) * conv.x.width;
    for (int64_t i = 0; i < conv.x.width; ++i) {
      to[i] = (from[2 * i] + from[2 * i + 1]) + (from[stride + 2 * i] + from[stride + 2 * i + 1]);
    }
  }
}

}  // namespace

void gather_input(const Convolution& conv, const float* x, const float* skip, int64_t images, float* padded) {
  const int64_t channels = conv.inputs(), lines = conv.input_height() + 2, stride = conv.input_width() + 2;
  const int64_t pixels = conv.input_height() * conv.input_width();
#pragma omp parallel for collapse(3)
  for (int64_t b = 0; b < images; ++b) {
    for (int64_t channel = 0; channel < channels; ++channel) {
      for (int64_t line = 0; line < lines; ++line) {
        gather_row(conv, x + b * conv.x.channels * conv.x.height * conv.x.width, skip + b * conv.skip_channels * pixels,
                   channel, line - 1, padded + ((b * channels + channel) * lines + line) * stride);
      }
    }
  }
}

void scatter_input_grad(const Convolution& conv, float* padded, int64_t images, float* x_grad, float* skip_grad) {
  const int64_t channels = conv.inputs(), pixels = conv.input_height() * conv.input_width();
  const int64_t padded_pixels = (conv.input_height() + 2) * (conv.input_width() + 2);
#pragma omp parallel for collapse(2)
  for (int64_t b = 0; b < images; ++b) {
    for (int64_t channel = 0; channel < channels; ++channel) {
      scatter_channel(conv, padded + (b * channels + channel) * padded_pixels, channel,
                      x_grad + b * conv.x.channels * conv.x.height * conv.x.width,
                      skip_grad + b * conv.skip_channels * pixels);
    }
  }
}

}  // namespace monodepth
