#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/tensor/shape.hpp"

namespace diffuse::reference {

/// Values of an operand in double, row-major.
struct Array {
  Shape shape;
  std::vector<double> values;

  Array() = default;
  explicit Array(const Shape& dims)
      : shape(dims), values(static_cast<std::size_t>(dims.elements()), 0.0) {}

  [[nodiscard]] bool empty() const { return shape.rank() == 0; }
  double& operator[](std::int64_t i) { return values[static_cast<std::size_t>(i)]; }
  double operator[](std::int64_t i) const { return values[static_cast<std::size_t>(i)]; }
  /// Element of a four-dimensional array.
  double& at(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
    return (*this)[((a * shape[1] + b) * shape[2] + c) * shape[3] + d];
  }
  [[nodiscard]] double at(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) const {
    return (*this)[((a * shape[1] + b) * shape[2] + c) * shape[3] + d];
  }
};

}  // namespace diffuse::reference
