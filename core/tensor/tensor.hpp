#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/base/dtype.hpp"
#include "core/tensor/shape.hpp"

namespace diffuse {

/// Memory of one backend. `data` is null while a recording waits for its arena.
struct Storage {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
  std::shared_ptr<void> keep_alive;
  bool planned = false;  ///< belongs to a recording: the planner sets `data`
};

/// A view of a storage: row-major, the last dimension contiguous, rows (everything above it)
/// `row_stride` elements apart. Copying a tensor copies the view. An empty tensor stands for an
/// absent operand.
class Tensor {
 public:
  Tensor() = default;
  Tensor(std::shared_ptr<Storage> storage, DType dtype, const Shape& shape);

  [[nodiscard]] bool empty() const { return storage_ == nullptr; }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] std::int64_t row_stride() const { return row_stride_; }
  [[nodiscard]] bool contiguous() const {
    return shape_.rank() == 0 || shape_.rows() <= 1 || row_stride_ == shape_.back();
  }
  /// Bytes of the elements, without gaps between rows.
  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(shape_.elements()) * size_of(dtype_);
  }
  [[nodiscard]] const std::shared_ptr<Storage>& storage() const { return storage_; }

  /// Same elements, other shape. Throws ShapeError for another number of elements, or a strided
  /// view whose last dimension would change.
  [[nodiscard]] Tensor reshape(const Shape& shape) const;
  /// Elements [begin, end) of the last dimension.
  [[nodiscard]] Tensor columns(std::int64_t begin, std::int64_t end) const;
  /// Elements [begin, end) of the first dimension.
  [[nodiscard]] Tensor front(std::int64_t begin, std::int64_t end) const;

  /// First element. Dereferenced only inside the room of the backend that owns the memory.
  template <class T>
  [[nodiscard]] T* data() const {
    return reinterpret_cast<T*>(storage_->data + offset_);
  }

 private:
  std::shared_ptr<Storage> storage_;
  std::size_t offset_ = 0;  // bytes
  Shape shape_;
  std::int64_t row_stride_ = 0;  // elements
  DType dtype_ = DType::f32;
};

/// A weight as it lies in a file: a view, not a copy.
struct StoredWeight {
  std::span<const std::byte> bytes;
  DType dtype = DType::f32;  ///< f32, f16 or bf16
  Shape shape;
};

/// What a weight is used as; decides the layout that a backend prepares.
enum class WeightRole : std::uint8_t {
  linear,       ///< [out, in]; a 1x1 convolution kernel [out, in, 1, 1] may be given as such
  conv_kernel,  ///< [out, in, height, width]
  embedding,    ///< [entries, width]
};

struct WeightUse {
  WeightRole role = WeightRole::linear;
  DType dtype = DType::f32;  ///< dtype of the activations it will meet
  int stride = 1;            ///< conv_kernel only
  std::int64_t height =
      0;  ///< conv_kernel: usual size of the input, a hint for the layout; 0 = unknown
  std::int64_t width = 0;
};

/// A backend's own form of a prepared weight.
struct PreparedWeight {
  virtual ~PreparedWeight() = default;
};

/// A prepared weight: its checkpoint shape and, opaque to models, the layout its backend wants.
struct Weight {
  Shape shape;
  WeightUse use;
  std::shared_ptr<const PreparedWeight> prepared;
  [[nodiscard]] bool empty() const { return shape.rank() == 0; }
};

}  // namespace diffuse
