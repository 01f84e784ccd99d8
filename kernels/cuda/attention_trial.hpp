#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor/op.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/plans/plan_shapes.hpp"

namespace diffuse::cuda {

/// A kernel that may run attention. `run` puts one run into the stream; false, and nothing done,
/// where it does not apply.
struct AttentionCandidate {
  std::string name;
  std::function<bool(const AttentionOp& op)> run;
};

/// The fastest candidate on random operands of an f16 or bf16 shape, by the clock. The first is
/// trusted: any other whose output is not the first one's but for rounding (plan_agreement.hpp) is
/// reported and not used, however fast.
std::optional<std::size_t> fastest_attention(DeviceStream& stream, const AttentionShape& shape,
                                             const std::vector<AttentionCandidate>& candidates);

}  // namespace diffuse::cuda
