// Vectors of eight floats, and ELU on a row.
#pragma once

#include <cstdint>
#include <cstring>

namespace monodepth {

constexpr int64_t kLanes = 8;

// Unaligned access is allowed; the compiler selects the instructions of its own machine.
typedef float Vector __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef int32_t Integers __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

inline const Vector& load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
inline Vector& at(float* to) { return *reinterpret_cast<Vector*>(to); }

// Keeps the vector in a register. Otherwise the compiler reloads it at each use, and the loops become memory-bound.
inline Vector in_register(const float* from) {
  Vector v = load(from);
#if defined(__x86_64__) && defined(__GNUC__)
  asm("" : "+x"(v));
#endif
  return v;
}

inline int64_t rounded_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// e^x for x <= 0, to a few units in the last place (Cephes' polynomial).
inline Vector exp_of_negative(Vector x) {
  x = x < -87.0f ? Vector{} - 87.0f : x;
  const Vector shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23 leaves the nearest integer in the low bits
  const Vector n = shifted - 12582912.0f;
  const Vector r = x - n * 0.693359375f + n * 2.12194440e-4f;
  Vector p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  Integers exponent;
  std::memcpy(&exponent, &shifted, sizeof exponent);
  exponent <<= 23;
  Integers bits;
  std::memcpy(&bits, &p, sizeof bits);
  bits += exponent;
  std::memcpy(&p, &bits, sizeof p);
  return p;
}

inline void elu(float* row, int64_t width) {  // `row` has room for whole vectors
  for (int64_t x = 0; x < width; x += kLanes) {
    const Vector v = load(row + x);
    at(row + x) = v > 0.0f ? v : (v == v ? exp_of_negative(v) - 1.0f : v);
  }
}

}  // namespace monodepth
