#include "core/tensor/shape_backend.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace diffuse {

std::shared_ptr<void> ShapeBackend::allocate(std::size_t) {
  return std::make_shared<std::max_align_t>();
}

void ShapeBackend::write(std::span<const std::byte>, const Tensor&) {}

void ShapeBackend::read(const Tensor&, std::span<std::byte> host) {
  std::fill(host.begin(), host.end(), std::byte{0});
}

Weight ShapeBackend::prepare(std::span<const StoredWeight> parts, const WeightUse& use) {
  const Shape shape = stacked_shape(parts, use);
  std::size_t each = 0;  // bytes
  for (const StoredWeight& part : parts) each = std::max(each, size_of(part.dtype));
  if (!as_stored_ || each > size_of(use.dtype)) each = size_of(use.dtype);
  prepared_bytes_ += static_cast<std::size_t>(shape.elements()) * each;
  return {shape, use, nullptr};
}

void ShapeBackend::execute(const Op&) {}

Shape stacked_shape(std::span<const StoredWeight> parts, const WeightUse& use) {
  std::int64_t front = 0;
  for (const StoredWeight& part : parts) front += part.shape[0];
  const Shape stacked = parts[0].shape.with_front(front);
  if (use.role == WeightRole::linear && stacked.rank() == 4) {
    if (stacked[2] != 1 || stacked[3] != 1) {
      throw ShapeError("prepare: " + stacked.str() + " is no linear layer");
    }
    return {stacked[0], stacked[1]};
  }
  return stacked;
}

}  // namespace diffuse
