#include "core/tensor/tensor.hpp"

#include <utility>

#include "core/base/error.hpp"

namespace diffuse {

Tensor::Tensor(std::shared_ptr<Storage> storage, DType dtype, const Shape& shape)
    : storage_(std::move(storage)),
      shape_(shape),
      row_stride_(shape.rank() == 0 ? 1 : shape.back()),
      dtype_(dtype) {}

Tensor Tensor::reshape(const Shape& shape) const {
  if (shape.elements() != shape_.elements()) {
    throw ShapeError("cannot view " + shape_.str() + " as " + shape.str());
  }
  Tensor out = *this;
  if (contiguous()) {
    out.row_stride_ = shape.rank() == 0 ? 1 : shape.back();
  } else if (shape.back() != shape_.back()) {
    throw ShapeError("cannot change the rows of the strided view " + shape_.str() + " to " +
                     shape.str());
  }
  out.shape_ = shape;
  return out;
}

Tensor Tensor::columns(std::int64_t begin, std::int64_t end) const {
  if (begin < 0 || begin > end || end > shape_.back()) {
    throw ShapeError("columns " + std::to_string(begin) + " to " + std::to_string(end) +
                     " are outside of " + shape_.str());
  }
  Tensor out = *this;
  out.offset_ += static_cast<std::size_t>(begin) * size_of(dtype_);
  out.shape_ = shape_.with_back(end - begin);
  return out;
}

Tensor Tensor::front(std::int64_t begin, std::int64_t end) const {
  if (shape_.rank() < 2 || begin < 0 || begin > end || end > shape_[0]) {
    throw ShapeError("entries " + std::to_string(begin) + " to " + std::to_string(end) +
                     " are outside of " + shape_.str());
  }
  const std::int64_t rows_per_entry = shape_[0] == 0 ? 0 : shape_.rows() / shape_[0];
  Tensor out = *this;
  out.offset_ += static_cast<std::size_t>(begin * rows_per_entry * row_stride_) * size_of(dtype_);
  out.shape_ = shape_.with_front(end - begin);
  return out;
}

}  // namespace diffuse
