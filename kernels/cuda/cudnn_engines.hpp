#pragma once

#include <vector>

#include "kernels/cuda/cudnn_graph.hpp"
#include "kernels/plans/plan_choice.hpp"
#include "kernels/plans/plan_table.hpp"

namespace diffuse::cuda {

/// An executable graph. Empty descriptor: this engine does not take it.
struct CudnnPlan {
  CudnnDescriptor plan{};
  std::int64_t workspace_bytes = 0;
};
CudnnPlan build_plan(const CudnnDescriptor& graph, const EngineChoice& choice,
                     const CudnnTarget& target);

/// How many entries the heuristic's list (mode A) has for a graph, whether they can be built or
/// not: what can be asked on a machine without a driver, where nothing can be compiled.
std::size_t proposed_engines(const CudnnDescriptor& graph, const CudnnTarget& target);

/// The first `most` entries of the heuristic's list (mode A, then its fall-back) that can be built
/// and compute the same sums each time: no Winograd or Fourier transform, nothing
/// non-deterministic, for f32 no tensor cores (TF32); by the strict rule no split of a sum over
/// blocks either. Engines that are compiled while running (half a second each) only where there is
/// no other, and then one.
std::vector<EngineChoice> engine_candidates(const CudnnDescriptor& graph, DType dtype,
                                            PlanRule rule, std::size_t most,
                                            const CudnnTarget& target);

}  // namespace diffuse::cuda
