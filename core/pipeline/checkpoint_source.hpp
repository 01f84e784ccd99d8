#pragma once

#include <utility>

#include "core/io/checkpoint.hpp"
#include "core/nn/weight_reader.hpp"

namespace diffuse {

/// The weights of a checkpoint for the layers that load from it.
class CheckpointSource final : public WeightSource {
 public:
  explicit CheckpointSource(Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {}

  /// Throws InputError(bad_model) for a weight of a type that cannot be computed with.
  [[nodiscard]] std::optional<StoredWeight> find(std::string_view name,
                                                 const Shape& expected) override;
  [[nodiscard]] std::string where() const override { return checkpoint_.where(); }
  /// Gives back the memory of the file's pages.
  void drop_pages() const { checkpoint_.drop_pages(); }

 private:
  Checkpoint checkpoint_;
};

}  // namespace diffuse
