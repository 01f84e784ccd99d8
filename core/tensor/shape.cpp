#include "core/tensor/shape.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace diffuse {

Shape::Shape(std::initializer_list<std::int64_t> dims) : rank_(dims.size()) {
  if (dims.size() > kMaxRank) throw ShapeError("a shape has at most four dimensions");
  std::copy(dims.begin(), dims.end(), dims_.begin());
  check();
}

void Shape::check() const {
  constexpr std::int64_t kLimit = std::int64_t{1} << 48;
  std::int64_t product = 1;
  for (std::size_t i = 0; i < rank_; ++i) {
    if (dims_[i] < 0) throw ShapeError("negative dimension in shape " + str());
    if (dims_[i] != 0 && product > kLimit / dims_[i]) throw ShapeError("shape too large: " + str());
    product *= dims_[i];
  }
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (std::size_t i = 0; i < rank_; ++i) product *= dims_[i];
  return product;
}

std::int64_t Shape::rows() const {
  std::int64_t product = 1;
  for (std::size_t i = 0; i + 1 < rank_; ++i) product *= dims_[i];
  return product;
}

Shape Shape::with_back(std::int64_t last) const {
  Shape out = *this;
  out.dims_[rank_ - 1] = last;
  out.check();
  return out;
}

Shape Shape::with_front(std::int64_t first) const {
  Shape out = *this;
  out.dims_[0] = first;
  out.check();
  return out;
}

std::string Shape::str() const {
  std::string out = "[";
  for (std::size_t i = 0; i < rank_; ++i) out += (i == 0 ? "" : ", ") + std::to_string(dims_[i]);
  return out + "]";
}

}  // namespace diffuse
