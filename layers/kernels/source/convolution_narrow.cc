// 3x3 convolutions with few outputs, such as those that end a decoder. oneDNN would compute a whole vector of outputs.
#include <algorithm>
#include <memory>
#include <vector>

#include "kernels.h"

namespace monodepth {
namespace {

constexpr int64_t kFewOutputs = 4;

// Steps through the padded images of a batch one by one, in one buffer.
class PaddedImages {
 public:
  explicit PaddedImages(const Convolution& conv)
      : stride(conv.output.width + 2),
        plane((conv.output.height + 2) * stride),
        data(new float[conv.inputs() * plane]),
        conv_(conv) {}

  void gather(const float* x, const float* skip, int64_t b) {
    gather_input(conv_, x + b * x_size(), skip + b * skip_size(), 1, data.get());
  }
  void scatter(int64_t b, float* x_grad, float* skip_grad) {
    scatter_input_grad(conv_, data.get(), 1, x_grad + b * x_size(), skip_grad + b * skip_size());
  }

  const int64_t stride, plane;
  const std::unique_ptr<float[]> data;

 private:
  int64_t x_size() const { return conv_.x.channels * conv_.x.height * conv_.x.width; }
  int64_t skip_size() const { return conv_.skip_channels * conv_.output.height * conv_.output.width; }

  const Convolution& conv_;
};

// Adds the products of one row of the window, w, with a padded row.
inline void add_products(const float* w, const float* padded, int64_t width, float* sums) {
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) sums[i] += w[0] * padded[i] + w[1] * padded[i + 1] + w[2] * padded[i + 2];
}

// Adds, for one row of the window, the products of a row of the output's gradient with a padded row.
inline void correlate(const float* grad, const float* padded, int64_t width, double* sums) {
  float a = 0, b = 0, c = 0;
#pragma omp simd reduction(+ : a, b, c)
  for (int64_t i = 0; i < width; ++i) {
    a += grad[i] * padded[i];
    b += grad[i] * padded[i + 1];
    c += grad[i] * padded[i + 2];
  }
  sums[0] += a;
  sums[1] += b;
  sums[2] += c;
}

}  // namespace

bool is_narrow(const Convolution& conv) {
  return conv.gathered && conv.groups == 1 && !conv.elu && conv.output.channels <= kFewOutputs;
}

void narrow_forward(const Convolution& conv, const float* x, const float* skip, const float* weight,
                    const float* bias, float* y) {
  const auto [batch, outputs, height, width] = conv.output;
  PaddedImages padded(conv);
  for (int64_t b = 0; b < batch; ++b) {
    padded.gather(x, skip, b);
#pragma omp parallel for collapse(2)
    for (int64_t o = 0; o < outputs; ++o) {
      for (int64_t line = 0; line < height; ++line) {
        float* row = y + ((b * outputs + o) * height + line) * width;
        std::fill(row, row + width, bias[o]);
        for (int64_t i = 0; i < conv.inputs(); ++i) {
          for (int64_t k = 0; k < 3; ++k) {
            const float* from = padded.data.get() + i * padded.plane + (line + k) * padded.stride;
            add_products(weight + ((o * conv.inputs() + i) * 3 + k) * 3, from, width, row);
          }
        }
      }
    }
  }
}

void narrow_weight_grad(const Convolution& conv, const float* x, const float* skip, const float* y_grad,
                        float* weight_grad) {
  const auto [batch, outputs, height, width] = conv.output;
  PaddedImages padded(conv);
  std::vector<double> sums(outputs * conv.inputs() * 9);
  for (int64_t b = 0; b < batch; ++b) {
    padded.gather(x, skip, b);
#pragma omp parallel for collapse(2)
    for (int64_t o = 0; o < outputs; ++o) {
      for (int64_t i = 0; i < conv.inputs(); ++i) {
        for (int64_t line = 0; line < height; ++line) {
          const float* grad = y_grad + ((b * outputs + o) * height + line) * width;
          for (int64_t k = 0; k < 3; ++k) {
            const float* from = padded.data.get() + i * padded.plane + (line + k) * padded.stride;
            correlate(grad, from, width, sums.data() + ((o * conv.inputs() + i) * 3 + k) * 3);
          }
        }
      }
    }
  }
  std::copy(sums.begin(), sums.end(), weight_grad);
}

void narrow_input_grad(const Convolution& conv, const float* weight, const float* y_grad, float* x_grad,
                       float* skip_grad) {
  const auto [batch, outputs, height, width] = conv.output;
  PaddedImages padded(conv);
  // Rows with two zeros at each end, so that `add_products` can compute the gradient of padding pixels, too.
  const int64_t stride = width + 4;
  std::vector<float> grads(outputs * height * stride);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t row = 0; row < outputs * height; ++row) {
      std::copy_n(y_grad + (b * outputs * height + row) * width, width, grads.data() + row * stride + 2);
    }
#pragma omp parallel for collapse(2)
    for (int64_t i = 0; i < conv.inputs(); ++i) {
      for (int64_t line = 0; line < height + 2; ++line) {
        float* row = padded.data.get() + i * padded.plane + line * padded.stride;
        std::fill(row, row + width + 2, 0.0f);
        for (int64_t o = 0; o < outputs; ++o) {
          for (int64_t k = 0; k < 3; ++k) {
            if (line - k < 0 || line - k >= height) continue;
            const float* w = weight + ((o * conv.inputs() + i) * 3 + k) * 3;
            const float flipped[3] = {w[2], w[1], w[0]};
            add_products(flipped, grads.data() + (o * height + line - k) * stride, width + 2, row);
          }
        }
      }
    }
    padded.scatter(b, x_grad, skip_grad);
  }
}

}  // namespace monodepth
