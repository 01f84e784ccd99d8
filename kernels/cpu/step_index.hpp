#pragma once

#include <cstdint>

#include "core/tensor/tensor.hpp"

namespace diffuse::cpu {

/// Value of the step counter. Throws ShapeError unless 0 <= step < size.
std::int64_t step_index(const Tensor& step, std::int64_t size, const char* op);

}  // namespace diffuse::cpu
