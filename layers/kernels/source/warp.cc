// Warps the source image into the target view, with gradients with respect to depth and camera motion (formulas:
// layers/geometry.py). Sampling is bilinear; samples outside the image are clamped to its border, with zero gradient.
#include <vector>

#include "kernels.h"

namespace monodepth {
namespace {

constexpr float kDistanceEpsilon = 1e-7f;

// Positions in the source image of one row of target pixels.
struct SampleRow {
  explicit SampleRow(int64_t width)
      : corner(width), u(width), v(width), inverse_z(width), right(width), down(width), free_u(width), free_v(width) {}

  void fill(const float* depth, const float* h, const float* t, int64_t y, int64_t height, int64_t width) {
    const float x_end = width - 1, y_end = height - 1;
    for (int64_t x = 0; x < width; ++x) {
      const float d = depth[x];
      const float z = d * (h[6] * x + h[7] * y + h[8]) + t[2] + kDistanceEpsilon;
      inverse_z[x] = 1 / z;
      u[x] = (d * (h[0] * x + h[1] * y + h[2]) + t[0]) * inverse_z[x];
      v[x] = (d * (h[3] * x + h[4] * y + h[5]) + t[1]) * inverse_z[x];
      free_u[x] = u[x] > 0 && u[x] < x_end ? 1.0f : 0.0f;
      free_v[x] = v[x] > 0 && v[x] < y_end ? 1.0f : 0.0f;
      // Not std::min and std::max, which would replace NaN.
      const float cu = u[x] < 0 ? 0 : (u[x] > x_end ? x_end : u[x]);
      const float cv = v[x] < 0 ? 0 : (v[x] > y_end ? y_end : v[x]);
      const float left = cu >= 0 ? (cu < x_end ? cu : x_end - 1) : 0;
      const float top = cv >= 0 ? (cv < y_end ? cv : y_end - 1) : 0;
      const int32_t column = static_cast<int32_t>(left), line = static_cast<int32_t>(top);
      corner[x] = line * static_cast<int32_t>(width) + column;
      right[x] = cu - column;
      down[x] = cv - line;
    }
  }

  std::vector<int32_t> corner;  // index of the upper left of the four neighbouring pixels
  std::vector<float> u, v, inverse_z, right, down, free_u, free_v;
};

}  // namespace

void warp_forward(const float* image, const float* depth, const float* homography, const float* offset, Size size,
                  float* warped) {
  const int64_t height = size.height, width = size.width, plane = height * width;
#pragma omp parallel
  {
    SampleRow row(width);
#pragma omp for collapse(2)
    for (int64_t b = 0; b < size.batch; ++b) {
      for (int64_t y = 0; y < height; ++y) {
        row.fill(depth + b * plane + y * width, homography + 9 * b, offset + 3 * b, y, height, width);
        for (int64_t c = 0; c < size.channels; ++c) {
          const float* from = image + (b * size.channels + c) * plane;
          float* to = warped + (b * size.channels + c) * plane + y * width;
          for (int64_t x = 0; x < width; ++x) {
            const float *upper = from + row.corner[x], *lower = upper + width;
            const float above = upper[0] + row.right[x] * (upper[1] - upper[0]);
            const float below = lower[0] + row.right[x] * (lower[1] - lower[0]);
            to[x] = above + row.down[x] * (below - above);
          }
        }
      }
    }
  }
}

void warp_backward(const float* image, const float* depth, const float* homography, const float* offset,
                   const float* warped_grad, Size size, float* depth_grad, float* homography_grad, float* offset_grad) {
  const int64_t height = size.height, width = size.width, plane = height * width;
  // Per row: nine gradients of the homography, then three of the offset. They are summed in row order, which makes the
  // result independent of the number of threads.
  std::vector<float> parts(size.batch * height * 12);
#pragma omp parallel
  {
    SampleRow row(width);
    std::vector<float> by_u(width), by_v(width);
#pragma omp for collapse(2)
    for (int64_t b = 0; b < size.batch; ++b) {
      for (int64_t y = 0; y < height; ++y) {
        const float *h = homography + 9 * b, *d = depth + b * plane + y * width;
        row.fill(d, h, offset + 3 * b, y, height, width);
        by_u.assign(width, 0.0f);
        by_v.assign(width, 0.0f);
        for (int64_t c = 0; c < size.channels; ++c) {
          const float* from = image + (b * size.channels + c) * plane;
          const float* grad = warped_grad + (b * size.channels + c) * plane + y * width;
          for (int64_t x = 0; x < width; ++x) {
            const float *upper = from + row.corner[x], *lower = upper + width;
            const float across_above = upper[1] - upper[0], across_below = lower[1] - lower[0];
            const float above = upper[0] + row.right[x] * across_above;
            const float below = lower[0] + row.right[x] * across_below;
            by_u[x] += grad[x] * (across_above + row.down[x] * (across_below - across_above));
            by_v[x] += grad[x] * (below - above);
          }
        }
        float sums[9] = {};
        for (int64_t x = 0; x < width; ++x) {
          const float gu = by_u[x] * row.free_u[x], gv = by_v[x] * row.free_v[x];
          const float gx = gu * row.inverse_z[x], gy = gv * row.inverse_z[x];
          // A clamped sample may be at infinity, and 0 * infinity is NaN.
          const float far_u = row.free_u[x] != 0 ? row.u[x] : 0.0f, far_v = row.free_v[x] != 0 ? row.v[x] : 0.0f;
          const float gz = -(gx * far_u + gy * far_v);
          depth_grad[b * plane + y * width + x] = gx * (h[0] * x + h[1] * y + h[2]) +
                                                  gy * (h[3] * x + h[4] * y + h[5]) +
                                                  gz * (h[6] * x + h[7] * y + h[8]);
          const float g[3] = {gx, gy, gz};
          for (int i = 0; i < 3; ++i) {
            sums[i] += g[i];
            sums[3 + i] += g[i] * d[x];
            sums[6 + i] += g[i] * d[x] * x;
          }
        }
        float* part = parts.data() + (b * height + y) * 12;
        for (int i = 0; i < 3; ++i) {
          part[3 * i] = sums[6 + i];
          part[3 * i + 1] = sums[3 + i] * y;
          part[3 * i + 2] = sums[3 + i];
          part[9 + i] = sums[i];
        }
      }
    }
  }
  for (int64_t b = 0; b < size.batch; ++b) {
    double total[12] = {};
    for (int64_t y = 0; y < height; ++y) {
      for (int i = 0; i < 12; ++i) total[i] += parts[(b * height + y) * 12 + i];
    }
    for (int i = 0; i < 9; ++i) homography_grad[9 * b + i] = static_cast<float>(total[i]);
    for (int i = 0; i < 3; ++i) offset_grad[3 * b + i] = static_cast<float>(total[9 + i]);
  }
}

}  // namespace monodepth
