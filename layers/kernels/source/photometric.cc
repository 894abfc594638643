// The photometric error, 0.85 SSIM + 0.15 L1, and its gradient, in one pass each (formulas: layers/photometric.py).
//
// Window means are separable: vertical sums of three rows, then sums of three neighbours. The backward pass recomputes
// them, so the forward pass stores no map but the error.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels.h"

namespace monodepth {
namespace {

constexpr float kC1 = 0.01f * 0.01f;
constexpr float kC2 = 0.03f * 0.03f;
constexpr float kSsimWeight = 0.85f;
constexpr float kNinth = 1.0f / 9.0f;

// Statistics of one row of windows, by quantity: vertical sums, padded by one pixel at each side; means, not padded.
struct WindowRow {
  explicit WindowRow(int64_t width) : width(width), sums(5 * (width + 2)), means(5 * width) {}

  float* sum(int q) { return sums.data() + q * (width + 2) + 1; }
  float* mean(int q) { return means.data() + q * width; }

  // Computes the means of x, y, x^2, y^2 and x y over the windows of row `row`.
  void fill(const float* x, const float* y, int64_t row, int64_t height) {
    const int64_t above = reflected(row - 1, height) * width, here = row * width;
    const int64_t below = reflected(row + 1, height) * width;
    float *sx = sum(0), *sy = sum(1), *sxx = sum(2), *syy = sum(3), *sxy = sum(4);
    for (int64_t i = 0; i < width; ++i) {
      const float xa = x[above + i], xh = x[here + i], xb = x[below + i];
      const float ya = y[above + i], yh = y[here + i], yb = y[below + i];
      sx[i] = xa + xh + xb;
      sy[i] = ya + yh + yb;
      sxx[i] = xa * xa + xh * xh + xb * xb;
      syy[i] = ya * ya + yh * yh + yb * yb;
      sxy[i] = xa * ya + xh * yh + xb * yb;
    }
    for (int q = 0; q < 5; ++q) {
      float* s = sum(q);
      float* m = mean(q);
      s[-1] = s[reflected(-1, width)];
      s[width] = s[reflected(width, width)];
      for (int64_t i = 0; i < width; ++i) m[i] = (s[i - 1] + s[i] + s[i + 1]) * kNinth;
    }
  }

  int64_t width;
  std::vector<float> sums, means;
};

struct Ssim {
  float luminance, contrast, luminances, variances;  // the factors of numerator and denominator

  Ssim(float mx, float my, float mxx, float myy, float mxy)
      : luminance(2 * mx * my + kC1),
        contrast(2 * (mxy - mx * my) + kC2),
        luminances(mx * mx + my * my + kC1),
        variances((mxx - mx * mx) + (myy - my * my) + kC2) {}

  float value() const { return luminance * contrast / (luminances * variances); }
};

void error_rows(const float* prediction, const float* target, Size size, int64_t first, int64_t last,
                float* error) {
  const int64_t channels = size.channels, height = size.height, width = size.width;
  WindowRow windows(width);
  const float ssim_share = kSsimWeight / channels, l1_share = (1 - kSsimWeight) / channels;
  for (int64_t row = first; row < last; ++row) {
    float* out = error + row * width;
    std::fill(out, out + width, 0.0f);
    for (int64_t c = 0; c < channels; ++c) {
      const float *x = prediction + c * height * width, *y = target + c * height * width;
      windows.fill(x, y, row, height);
      const float *mx = windows.mean(0), *my = windows.mean(1), *mxx = windows.mean(2), *myy = windows.mean(3);
      const float* mxy = windows.mean(4);
      x += row * width;
      y += row * width;
      for (int64_t i = 0; i < width; ++i) {
        const float ssim = Ssim(mx[i], my[i], mxx[i], myy[i], mxy[i]).value();
        const float clipped = std::min(std::max((1 - ssim) * 0.5f, 0.0f), 1.0f);
        out[i] += ssim_share * clipped + l1_share * std::fabs(y[i] - x[i]);
      }
    }
  }
}

// Gradients of one row of windows with respect to their means of x, x^2 and x y, each summed over three neighbours.
struct GradientRow {
  explicit GradientRow(int64_t width) : width(width), at_windows(width), sums(3 * width) {}

  float* sum(int q) { return sums.data() + q * width; }

  void fill(WindowRow& windows, const float* error_grad, float ssim_share) {
    for (int q = 0; q < 3; ++q) {
      by_mean(windows, error_grad, ssim_share, q);
      spread(sum(q));
    }
  }

  int64_t width;
  std::vector<float> at_windows, sums;

 private:
  void by_mean(WindowRow& windows, const float* error_grad, float ssim_share, int quantity) {
    const float *mx = windows.mean(0), *my = windows.mean(1), *mxx = windows.mean(2), *myy = windows.mean(3);
    const float* mxy = windows.mean(4);
    float* out = at_windows.data();
    for (int64_t i = 0; i < width; ++i) {
      const Ssim s(mx[i], my[i], mxx[i], myy[i], mxy[i]);
      const float inverse = 1 / (s.luminances * s.variances);
      const float ssim = s.luminance * s.contrast * inverse;
      const float error = (1 - ssim) * 0.5f;
      const float scale = (error > 0 && error < 1) ? -0.5f * ssim_share * kNinth * error_grad[i] : 0.0f;
      const float by_variance = -ssim / s.variances, by_covariance = 2 * s.luminance * inverse;
      const float by_mean = 2 * my[i] * s.contrast * inverse - 2 * mx[i] * ssim / s.luminances;
      const float derivative = quantity == 0 ? by_mean - 2 * mx[i] * by_variance - my[i] * by_covariance
                                             : (quantity == 1 ? by_variance : by_covariance);
      out[i] = scale * derivative;
    }
  }

  // Adjoint of summing three neighbours in a row padded by reflection.
  void spread(float* out) const {
    const float* a = at_windows.data();
    for (int64_t i = 1; i + 1 < width; ++i) out[i] = a[i - 1] + a[i] + a[i + 1];
    out[0] = a[0] + a[1];
    out[width - 1] = a[width - 2] + a[width - 1];
    out[1] += a[0];
    out[width - 2] += a[width - 1];
  }
};

// Computes the gradient of rows `first` to `last` - 1 of one channel. A row is part of the windows of three rows, which
// a ring buffer holds.
void gradient_rows(const float* x, const float* y, const float* error_grad, Size size, int64_t first, int64_t last,
                   float* x_grad) {
  const int64_t channels = size.channels, height = size.height, width = size.width;
  WindowRow windows(width);
  std::vector<GradientRow> ring(3, GradientRow(width));
  const float ssim_share = kSsimWeight / channels, l1_share = (1 - kSsimWeight) / channels;
  auto fill = [&](int64_t row) {
    windows.fill(x, y, row, height);
    ring[row % 3].fill(windows, error_grad + row * width, ssim_share);
  };
  for (int64_t row = std::max<int64_t>(first - 1, 0); row <= first; ++row) fill(row);
  for (int64_t row = first; row < last; ++row) {
    if (row + 1 < height) fill(row + 1);
    const float *here_x = x + row * width, *here_y = y + row * width, *grad = error_grad + row * width;
    float* out = x_grad + row * width;
    for (int64_t i = 0; i < width; ++i) {
      const float difference = here_x[i] - here_y[i];
      const float sign = difference > 0 ? 1.0f : (difference < 0 ? -1.0f : 0.0f);
      out[i] = l1_share * sign * grad[i];
    }
    auto add = [&](int64_t window_row) {
      GradientRow& g = ring[window_row % 3];
      const float *by_x = g.sum(0), *by_xx = g.sum(1), *by_xy = g.sum(2);
      for (int64_t i = 0; i < width; ++i) out[i] += by_x[i] + 2 * here_x[i] * by_xx[i] + here_y[i] * by_xy[i];
    };
    if (row > 0) add(row - 1);
    add(row);
    if (row + 1 < height) add(row + 1);
    if (row == 1) add(0);  // windows at the border contain this row twice, by reflection
    if (row == height - 2) add(height - 1);
  }
}

constexpr int64_t kRows = 16;  // rows per task

}  // namespace

void photometric_forward(const float* prediction, const float* target, Size size, float* error) {
  const int64_t plane = size.height * size.width, tasks = (size.height + kRows - 1) / kRows;
#pragma omp parallel for collapse(2)
  for (int64_t b = 0; b < size.batch; ++b) {
    for (int64_t t = 0; t < tasks; ++t) {
      const int64_t image = b * size.channels * plane;
      error_rows(prediction + image, target + image, size, t * kRows, std::min(size.height, (t + 1) * kRows),
                 error + b * plane);
    }
  }
}

void photometric_backward(const float* prediction, const float* target, const float* error_grad, Size size,
                          float* prediction_grad) {
  const int64_t plane = size.height * size.width, tasks = (size.height + kRows - 1) / kRows;
#pragma omp parallel for collapse(2)
  for (int64_t i = 0; i < size.batch * size.channels; ++i) {
    for (int64_t t = 0; t < tasks; ++t) {
      gradient_rows(prediction + i * plane, target + i * plane, error_grad + i / size.channels * plane, size,
                    t * kRows, std::min(size.height, (t + 1) * kRows), prediction_grad + i * plane);
    }
  }
}

}  // namespace monodepth
