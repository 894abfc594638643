// Types and checks shared by the files that register operators.
#pragma once

#include <vector>

#include "kernels.h"
#include "paddle/extension.h"

namespace monodepth {

using paddle::DataType;
using paddle::Tensor;
using Shape = std::vector<int64_t>;
using Tensors = std::vector<Tensor>;

inline void check(const Tensor& x, size_t dimensions, const char* name) {
  PD_CHECK(x.is_cpu() && x.dtype() == DataType::FLOAT32 && x.shape().size() == dimensions, name,
           ": expected a float32 CPU tensor of ", dimensions, " dimensions");
}

inline Size size_of(const Tensor& x) {
  const Shape shape = x.shape();
  return {shape[0], shape[1], shape[2], shape[3]};
}

inline Tensor empty(const Shape& shape) { return paddle::empty(shape, DataType::FLOAT32, paddle::CPUPlace()); }
inline Tensor zeros(const Shape& shape) { return paddle::full(shape, 0, DataType::FLOAT32, paddle::CPUPlace()); }

}  // namespace monodepth
