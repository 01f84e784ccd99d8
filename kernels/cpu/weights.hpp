#pragma once

#include <memory>

#include "core/tensor/tensor.hpp"

namespace diffuse::cpu {

/// A weight as a plain array in the dtype of its use: embeddings.
struct PlainWeight final : PreparedWeight {
  std::shared_ptr<void> data;
};

}  // namespace diffuse::cpu
