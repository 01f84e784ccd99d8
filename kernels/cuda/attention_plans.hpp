#pragma once

#include <map>
#include <optional>

#include "core/tensor/op.hpp"
#include "kernels/cuda/cudnn_engines.hpp"
#include "kernels/cuda/cudnn_handle.hpp"

namespace diffuse::cuda {

/// Attention by cuDNN, where the table says so: by default it is done by a kernel of our own. By
/// the strict rule the engine is that of the canonical batch.
class AttentionPlans {
 public:
  AttentionPlans(const CudnnHandle& handle, DeviceStream& stream, Workspace& workspace,
                 PlanTable& table, PlanRule rule);

  /// False, and nothing done, where a kernel of our own does it.
  bool run(const AttentionOp& op);
  /// Puts "our own kernel" into the table, unless the shape is there.
  void plan(const AttentionShape& shape);
  /// The fastest of our kernel and cuDNN's engines, by the clock.
  void tune(const AttentionShape& shape);
  /// Builds plans anew: the table was changed.
  void forget() { plans_.clear(); }

 private:
  [[nodiscard]] std::optional<EngineChoice> measured(const AttentionShape& shape);
  const CudnnPlan& plan_of(const AttentionShape& shape);
  bool execute(const CudnnPlan& plan, const AttentionOp& op);

  CudnnTarget target_;
  DeviceStream& stream_;
  Workspace& workspace_;
  PlanTable& table_;
  PlanRule rule_;
  Context context_;
  std::map<AttentionShape, CudnnPlan> plans_;
};

}  // namespace diffuse::cuda
