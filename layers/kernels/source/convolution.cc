// Direct 3x3 convolution of stride 1 that keeps the size, and its gradients. Neither the padded input nor its columns
// (im2col) are ever stored as a whole, which a matrix product would need.
//
// All three functions copy padded rows into a buffer that fits the processor's cache. The innermost loops keep kBlock
// channels of kTile pixels in registers.
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels.h"
#include "vectors.h"

namespace monodepth {
namespace {

constexpr int64_t kVectors = 3, kTile = kLanes * kVectors;
constexpr int64_t kBlock = 4;  // channels; kBlock * kVectors sums and the inputs fit sixteen vector registers
constexpr int64_t kCacheFloats = 1 << 17;

// A buffer of `rows` rows for each channel, `stride` floats apart; floats beyond a row's end are zero.
struct Rows {
  Rows(int64_t channels, int64_t rows, int64_t stride)
      : count(rows), stride(stride), data(channels * rows * stride + kTile) {}

  float* row(int64_t channel, int64_t i) { return data.data() + (channel * count + i) * stride; }
  int64_t channel_stride() const { return count * stride; }

  int64_t count, stride;
  std::vector<float> data;
};

// Copies row `line` of an input channel to `to`, with one pixel of padding at each end.
void copy_input_row(const Convolution& conv, const float* x, const float* skip, int64_t b, int64_t channel,
                    int64_t line, float* to) {
  const int64_t height = conv.output.height, width = conv.output.width;
  float* out = to + 1;
  if (!conv.reflect && (line < 0 || line >= height)) {
    std::fill(to, to + width + 2, 0.0f);
    return;
  }
  line = reflected(line, height);
  if (channel >= conv.x_channels) {
    std::memcpy(out, skip + ((b * conv.skip_channels + channel - conv.x_channels) * height + line) * width, 4 * width);
  } else if (conv.doubled) {
    const float* from = x + ((b * conv.x_channels + channel) * (height / 2) + line / 2) * (width / 2);
    for (int64_t i = 0; i < width / 2; ++i) out[2 * i] = out[2 * i + 1] = from[i];
  } else {
    std::memcpy(out, x + ((b * conv.x_channels + channel) * height + line) * width, 4 * width);
  }
  out[-1] = conv.reflect ? out[1] : 0.0f;
  out[width] = conv.reflect ? out[width - 2] : 0.0f;
}

// Copies row `line` of an output channel's gradient, back-propagated through the activation; zeros outside the image.
void copy_grad_row(const Convolution& conv, const float* y, const float* y_grad, int64_t b, int64_t channel,
                   int64_t line, float* to) {
  const int64_t width = conv.output.width;
  if (line < 0 || line >= conv.output.height) {
    std::fill(to, to + width, 0.0f);
    return;
  }
  const int64_t start = ((b * conv.output.channels + channel) * conv.output.height + line) * width;
  if (!conv.elu) {
    std::memcpy(to, y_grad + start, 4 * width);
    return;
  }
  for (int64_t i = 0; i < width; ++i) {
    const float out = y[start + i];
    to[i] = y_grad[start + i] * (out > 0 ? 1.0f : out + 1.0f);
  }
}

// Packs weights in the order that `convolve_tile` reads: (blocks of outputs, inputs, 9, kBlock), padded with zeros.
// `flipped` swaps inputs and outputs and rotates the window by 180 degrees, for the gradient of the input.
std::vector<float> packed(const float* weight, int64_t outputs, int64_t inputs, bool flipped) {
  std::vector<float> result(rounded_up(outputs, kBlock) * inputs * 9);
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t i = 0; i < inputs; ++i) {
      for (int64_t k = 0; k < 9; ++k) {
        const float value = flipped ? weight[(i * outputs + o) * 9 + 8 - k] : weight[(o * inputs + i) * 9 + k];
        result[((o / kBlock * inputs + i) * 9 + k) * kBlock + o % kBlock] = value;
      }
    }
  }
  return result;
}

// Computes kTile pixels of `Outputs` channels of a block from three rows of each input.
template <int64_t Outputs>
inline void convolve_tile(const float* rows, int64_t channel_stride, int64_t row_stride, int64_t inputs,
                          const float* weight, const float* bias, float* out, int64_t out_stride) {
  Vector sums[Outputs][kVectors];
  for (int64_t o = 0; o < Outputs; ++o) {
    for (int64_t v = 0; v < kVectors; ++v) sums[o][v] = Vector{} + bias[o];
  }
  for (int64_t i = 0; i < inputs; ++i, weight += 9 * kBlock) {
    const float* channel = rows + i * channel_stride;
#pragma GCC unroll 9
    for (int64_t k = 0; k < 9; ++k) {
      const float* from = channel + k / 3 * row_stride + k % 3;
      const Vector a = in_register(from), b = in_register(from + kLanes), c = in_register(from + 2 * kLanes);
#pragma GCC unroll 4
      for (int64_t o = 0; o < Outputs; ++o) {
        const float w = weight[k * kBlock + o];
        sums[o][0] += w * a;
        sums[o][1] += w * b;
        sums[o][2] += w * c;
      }
    }
  }
  for (int64_t o = 0; o < Outputs; ++o) {
    for (int64_t v = 0; v < kVectors; ++v) at(out + o * out_stride + v * kLanes) = sums[o][v];
  }
}

// Computes one row for a block of outputs, `out_stride` floats apart; writes whole tiles, also beyond `width`.
void convolve_row(const Rows& in, const float* rows, int64_t inputs, int64_t outputs, int64_t width,
                  const float* weight, const float* bias, float* out, int64_t out_stride) {
  for (int64_t x = 0; x < width; x += kTile) {
    const auto convolve = outputs == 1 ? convolve_tile<1> : convolve_tile<kBlock>;
    convolve(rows + x, in.channel_stride(), in.stride, inputs, weight, bias, out + x, out_stride);
  }
}

// Returns the number of rows of a task that fit the cache; even, so that both copies of a doubled pixel share a task.
int64_t rows_of_task(int64_t channels, int64_t stride) {
  return std::max<int64_t>(2, (kCacheFloats / (channels * stride) - 2) / 2 * 2);
}

}  // namespace

void convolution_forward(const Convolution& conv, const float* x, const float* skip, const float* weight,
                         const float* bias, float* y) {
  const auto [batch, outputs, height, width] = conv.output;
  const int64_t inputs = conv.x_channels + conv.skip_channels;
  const int64_t out_stride = rounded_up(width, kTile), stride = out_stride + 2;
  const int64_t per_task = rows_of_task(inputs, stride), tasks = (height + per_task - 1) / per_task;
  const std::vector<float> weights = packed(weight, outputs, inputs, false);
  std::vector<float> biases(rounded_up(outputs, kBlock));
  std::copy(bias, bias + outputs, biases.begin());
#pragma omp parallel
  {
    Rows in(inputs, per_task + 2, stride);
    std::vector<float> out(kBlock * out_stride);
#pragma omp for collapse(2)
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t task = 0; task < tasks; ++task) {
        const int64_t first = task * per_task, last = std::min(height, first + per_task);
        for (int64_t i = 0; i < inputs; ++i) {
          for (int64_t line = first - 1; line <= last; ++line) {
            copy_input_row(conv, x, skip, b, i, line, in.row(i, line - first + 1));
          }
        }
        for (int64_t o = 0; o < outputs; o += kBlock) {
          const int64_t block = std::min(kBlock, outputs - o);
          for (int64_t line = first; line < last; ++line) {
            convolve_row(in, in.row(0, line - first), inputs, block, width, weights.data() + o * inputs * 9,
                         biases.data() + o, out.data(), out_stride);
            for (int64_t j = 0; j < block; ++j) {
              float* row = out.data() + j * out_stride;
              if (conv.elu) elu(row, width);
              std::memcpy(y + ((b * outputs + o + j) * height + line) * width, row, 4 * width);
            }
          }
        }
      }
    }
  }
}

namespace {

// Gradient of the input: computes that of the padded input, then adds each padding pixel's to the pixel it repeats.
class InputGradient {
 public:
  InputGradient(const Convolution& conv, const float* y, const float* y_grad, const float* weight, int64_t per_task)
      : conv_(conv),
        y_(y),
        y_grad_(y_grad),
        inputs_(conv.x_channels + conv.skip_channels),
        out_stride_(rounded_up(conv.output.width + 2, kTile)),
        rows_(conv.output.channels, per_task + 2, out_stride_ + 2),
        border_(conv.output.channels, 3, out_stride_ + 2),
        weight_(weight),
        zeros_(kBlock),
        block_(kBlock * out_stride_),
        of_border_(kBlock * out_stride_) {}

  void run(int64_t b, int64_t first, int64_t last, float* x_grad, float* skip_grad) {
    const int64_t height = conv_.output.height;
    for (int64_t o = 0; o < conv_.output.channels; ++o) {
      for (int64_t line = first - 1; line <= last; ++line) {
        copy_grad_row(conv_, y_, y_grad_, b, o, line, rows_.row(o, line - first + 1) + 2);
      }
    }
    for (int64_t i = 0; i < inputs_; i += kBlock) {
      for (int64_t line = first; line < last; ++line) {
        convolve(rows_, rows_.row(0, line - first), i, block_.data());
        if (conv_.reflect && line == 1) add_border_row(b, i, 0, 2);
        if (conv_.reflect && line == height - 2) add_border_row(b, i, height - 1, 0);
        for (int64_t j = 0; j < std::min(kBlock, inputs_ - i); ++j) {
          fold(block_.data() + j * out_stride_, b, i + j, line, x_grad, skip_grad);
        }
      }
    }
  }

 private:
  void convolve(const Rows& in, const float* rows, int64_t i, float* out) {
    convolve_row(in, rows, conv_.output.channels, std::min(kBlock, inputs_ - i), conv_.output.width + 2,
                 weight_ + i * conv_.output.channels * 9, zeros_.data(), out, out_stride_);
  }

  // Adds the gradient of the padding row above or below the image, which only output row `line` reads.
  void add_border_row(int64_t b, int64_t i, int64_t line, int64_t position) {
    for (int64_t o = 0; o < conv_.output.channels; ++o) {
      for (int64_t k = 0; k < 3; ++k) {
        copy_grad_row(conv_, y_, y_grad_, b, o, k == position ? line : -1, border_.row(o, k) + 2);
      }
    }
    convolve(border_, border_.row(0, 0), i, of_border_.data());
    for (size_t k = 0; k < block_.size(); ++k) block_[k] += of_border_[k];
  }

  void fold(float* padded, int64_t b, int64_t channel, int64_t line, float* x_grad, float* skip_grad) {
    const int64_t height = conv_.output.height, width = conv_.output.width;
    float* row = padded + 1;
    if (conv_.reflect) {
      row[1] += row[-1];
      row[width - 2] += row[width];
    }
    if (channel >= conv_.x_channels) {
      const int64_t plane = b * conv_.skip_channels + channel - conv_.x_channels;
      if (skip_grad) std::memcpy(skip_grad + (plane * height + line) * width, row, 4 * width);
      return;
    }
    const int64_t plane = b * conv_.x_channels + channel;
    if (!conv_.doubled) {
      std::memcpy(x_grad + (plane * height + line) * width, row, 4 * width);
      return;
    }
    float* out = x_grad + (plane * (height / 2) + line / 2) * (width / 2);
    for (int64_t i = 0; i < width / 2; ++i) {
      const float pair = row[2 * i] + row[2 * i + 1];
      out[i] = line % 2 ? out[i] + pair : pair;
    }
  }

  const Convolution& conv_;
  const float *y_, *y_grad_;
  int64_t inputs_, out_stride_;
  Rows rows_, border_;
  const float* weight_;
  std::vector<float> zeros_, block_, of_border_;
};

}  // namespace

void convolution_input_grad(const Convolution& conv, const float* y, const float* y_grad, const float* weight,
                            float* x_grad, float* skip_grad) {
  const auto [batch, outputs, height, width] = conv.output;
  const std::vector<float> weights = packed(weight, conv.x_channels + conv.skip_channels, outputs, true);
  const int64_t per_task = rows_of_task(outputs, width + 4), tasks = (height + per_task - 1) / per_task;
#pragma omp parallel
  {
    InputGradient gradient(conv, y, y_grad, weights.data(), per_task);
#pragma omp for collapse(2)
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t task = 0; task < tasks; ++task) {
        gradient.run(b, task * per_task, std::min(height, (task + 1) * per_task), x_grad, skip_grad);
      }
    }
  }
}

namespace {

constexpr int64_t kSteps = 64;  // vectors of kLanes pixels to accumulate before the sums are written back

// Accumulates, over `rows` rows, the products of the gradients of kBlock outputs with row `k` of the windows of input
// `i`, shifted by 0, 1 and 2 pixels.
inline void correlate(Rows& grad, int64_t output, Rows& in, int64_t i, int64_t k, int64_t rows, int64_t width,
                      float* sums) {
  Vector s[kBlock][3];
  for (int64_t o = 0; o < kBlock; ++o) {
    for (int64_t j = 0; j < 3; ++j) s[o][j] = load(sums + (3 * o + j) * kLanes);
  }
  const int64_t grad_stride = grad.channel_stride();
  for (int64_t r = 0; r < rows; ++r) {
    const float *from = in.row(i, r + k), *grads = grad.row(output, r);
    for (int64_t x = 0; x < width; x += kLanes) {
      const Vector a = in_register(from + x), b = in_register(from + x + 1), c = in_register(from + x + 2);
#pragma GCC unroll 4
      for (int64_t o = 0; o < kBlock; ++o) {
        const Vector g = in_register(grads + o * grad_stride + x);
        s[o][0] += g * a;
        s[o][1] += g * b;
        s[o][2] += g * c;
      }
    }
  }
  for (int64_t o = 0; o < kBlock; ++o) {
    for (int64_t j = 0; j < 3; ++j) at(sums + (3 * o + j) * kLanes) = s[o][j];
  }
}

inline float sum_of(const Vector& v) {
  float sum = 0;
  for (int64_t i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}

inline float sum_of_row(const float* row, int64_t width) {  // needs zeros beyond the row's end
  Vector sum{};
  for (int64_t x = 0; x < width; x += kLanes) sum += load(row + x);
  return sum_of(sum);
}

// Computes the weight gradient of inputs `first` to `last` - 1. Threads have disjoint inputs, so nothing is reduced.
void weight_grad_of(const Convolution& conv, const float* x, const float* skip, const float* y, const float* y_grad,
                    int64_t first, int64_t last, float* weight_grad, float* bias_grad) {
  const auto [batch, outputs, height, width] = conv.output;
  const int64_t inputs = conv.x_channels + conv.skip_channels, blocks = rounded_up(outputs, kBlock) / kBlock;
  const int64_t grad_stride = rounded_up(width, kLanes);
  // Lines per pass over the sums, which are many in wide layers.
  const int64_t lines = std::min(height, rounded_up(kSteps * kLanes, grad_stride) / grad_stride);
  Rows in(last - first, lines + 2, grad_stride + 2 + kLanes), grad(blocks * kBlock, lines, grad_stride);
  std::vector<float> sums((last - first) * blocks * 9 * kBlock * kLanes);
  std::vector<double> bias_sums(outputs);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t line = 0; line < height; line += lines) {
      const int64_t rows = std::min(lines, height - line);
      for (int64_t i = first; i < last; ++i) {
        for (int64_t r = 0; r < rows + 2; ++r) copy_input_row(conv, x, skip, b, i, line + r - 1, in.row(i - first, r));
      }
      for (int64_t o = 0; o < outputs; ++o) {
        for (int64_t r = 0; r < rows; ++r) {
          copy_grad_row(conv, y, y_grad, b, o, line + r, grad.row(o, r));
          if (bias_grad) bias_sums[o] += sum_of_row(grad.row(o, r), width);
        }
      }
      for (int64_t i = 0; i < last - first; ++i) {
        for (int64_t block = 0; block < blocks; ++block) {
          for (int64_t k = 0; k < 3; ++k) {
            float* of_window_row = sums.data() + ((i * blocks + block) * 3 + k) * 3 * kBlock * kLanes;
            correlate(grad, block * kBlock, in, i, k, rows, width, of_window_row);
          }
        }
      }
    }
  }
  for (int64_t i = first; i < last; ++i) {
    for (int64_t o = 0; o < outputs; ++o) {
      for (int64_t k = 0; k < 9; ++k) {
        const int64_t window_row = ((i - first) * blocks + o / kBlock) * 3 + k / 3;
        const int64_t sum = (window_row * kBlock + o % kBlock) * 3 + k % 3;
        weight_grad[(o * inputs + i) * 9 + k] = sum_of(load(sums.data() + sum * kLanes));
      }
    }
  }
  if (bias_grad) std::copy(bias_sums.begin(), bias_sums.end(), bias_grad);
}

}  // namespace

void convolution_weight_grad(const Convolution& conv, const float* x, const float* skip, const float* y,
                             const float* y_grad, float* weight_grad, float* bias_grad) {
  const int64_t inputs = conv.x_channels + conv.skip_channels;
  const int64_t share = (inputs + omp_get_max_threads() - 1) / omp_get_max_threads();
#pragma omp parallel for
  for (int64_t first = 0; first < inputs; first += share) {
    weight_grad_of(conv, x, skip, y, y_grad, first, std::min(inputs, first + share), weight_grad,
                   first == 0 ? bias_grad : nullptr);
  }
}

}  // namespace monodepth
