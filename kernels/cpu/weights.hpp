#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "core/tensor/tensor.hpp"
#include "core/tensor/weight_memory.hpp"

namespace diffuse::cpu {

/// What those who lay a weight out get from the backend.
struct WeightInput {
  /// The weight's memory; to be called once.
  std::function<WeightMemory::Block(std::size_t bytes)> allocate;
  /// Its values in f32, in the checkpoint's order; read only where the block is to be filled.
  std::function<const float*()> values;
};

/// A weight as a plain array in the dtype of its use: embeddings.
struct PlainWeight final : PreparedWeight {
  std::shared_ptr<void> data;
};

}  // namespace diffuse::cpu
