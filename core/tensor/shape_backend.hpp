#pragma once

#include "core/tensor/backend.hpp"

namespace diffuse {

/// A backend without memory and arithmetic: programs recorded on it have the shapes, costs and
/// arena of a real run (`--dry-run`, benchmark floors) while no weight is loaded. Executing does
/// nothing.
class ShapeBackend final : public Backend {
 public:
  ShapeBackend() = default;
  /// `as_stored`: of a device that holds weights as a file has them where those are narrower than
  /// what it computes in, as the CPU does.
  explicit ShapeBackend(bool as_stored) : as_stored_(as_stored) {}

  [[nodiscard]] std::string name() const override { return "shape"; }
  [[nodiscard]] std::string numerics() const override { return "none"; }
  [[nodiscard]] std::string refuses(DType) const override { return {}; }
  [[nodiscard]] std::shared_ptr<void> allocate(std::size_t bytes) override;
  void write(std::span<const std::byte> host, const Tensor& to) override;
  void read(const Tensor& from, std::span<std::byte> host) override;
  [[nodiscard]] Weight prepare(std::span<const StoredWeight> parts, const WeightUse& use) override;
  void execute(const Op& op) override;

  /// Bytes of all weights prepared so far, in the dtypes asked for, or narrower ones.
  [[nodiscard]] std::size_t prepared_bytes() const { return prepared_bytes_; }

 private:
  bool as_stored_ = false;
  std::size_t prepared_bytes_ = 0;
};

/// Checkpoint shape of parts stacked along the first dimension; [O, I, 1, 1] as `linear` becomes
/// [O, I].
Shape stacked_shape(std::span<const StoredWeight> parts, const WeightUse& use);

}  // namespace diffuse
