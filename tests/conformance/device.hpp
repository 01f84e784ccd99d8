#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor/decorators.hpp"
#include "core/tensor/ops.hpp"
#include "tests/reference/array.hpp"

namespace diffuse::test {

using reference::Array;

/// Entries [begin, end) of the batch.
struct Slice {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// A backend under test, with NaN in all memory that it hands out, so that what an op does not
/// write fails.
class Device {
 public:
  Device(std::unique_ptr<Backend> backend, DType dtype);

  Ops& ops() { return ops_; }
  Backend& backend() { return poisoned_; }
  [[nodiscard]] DType dtype() const { return ops_.dtype(); }

  /// The array as a tensor of the given dtype (rounded to it); with `gap` > 0, as a view whose rows
  /// lie that many elements apart, with NaN between them.
  Tensor put(const Array& array, DType dtype, std::int64_t gap = 0);
  /// Entries of an activation, in the run's dtype.
  Tensor put(const Array& array, Slice slice, std::int64_t gap = 0);
  Tensor put_f32(const Array& array) { return put(array, DType::f32); }
  Tensor put_ints(const std::vector<std::int32_t>& values, const Shape& shape);
  /// As stored in a file of this dtype, then prepared. `stored` must represent the values exactly.
  Weight prepare(const Array& array, const WeightUse& use, DType stored);

  /// Raw bytes and values of a tensor, rows packed.
  std::vector<std::uint8_t> bytes(const Tensor& tensor);
  std::vector<double> values(const Tensor& tensor);

 private:
  class Poisoned final : public ForwardingBackend {
   public:
    using ForwardingBackend::ForwardingBackend;
    std::shared_ptr<void> allocate(std::size_t bytes) override;
  };

  std::unique_ptr<Backend> backend_;
  Poisoned poisoned_;
  Ops ops_;
};

/// `value` rounded to a float dtype, to nearest, ties to even.
double round_to(DType dtype, double value);

/// Values near N(offset, spread^2), rounded to `dtype`; the same for the same seed everywhere.
Array random_array(const Shape& shape, DType dtype, std::uint64_t seed, double spread = 1.0,
                   double offset = 0.0);

/// Entries of the first dimension.
Array entries_of(const Array& array, Slice slice);

}  // namespace diffuse::test
