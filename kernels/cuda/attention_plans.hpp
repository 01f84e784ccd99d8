#pragma once

#include <map>
#include <optional>

#include "core/tensor/op.hpp"
#include "kernels/cuda/cudnn_engines.hpp"
#include "kernels/cuda/cudnn_handle.hpp"

namespace diffuse::cuda {

/// Attention by cuDNN or by our wgmma kernel, where the table says so: by default another kernel of
/// our own does it. By the strict rule the choice is that for the canonical batch.
class AttentionPlans {
 public:
  AttentionPlans(const CudnnHandle& handle, DeviceStream& stream, Workspace& workspace,
                 PlanTable& table, PlanRule rule);

  /// False, and nothing done, where our default kernel does it.
  bool run(const AttentionOp& op);
  /// Puts "our default kernel" into the table, unless the shape is there.
  void plan(const AttentionShape& shape);
  /// The fastest of our kernels and cuDNN's engines, by the clock, among those that agree with the
  /// default one.
  void tune(const AttentionShape& shape);
  /// Builds plans anew: the table was changed.
  void forget() { kernels_.clear(); }

 private:
  struct Kernel {
    bool wgmma = false;
    CudnnPlan library{};  ///< empty too: our default kernel
  };
  [[nodiscard]] std::optional<AttentionChoice> measured(const AttentionShape& shape);
  const Kernel& kernel_of(const AttentionShape& shape);
  bool execute(const CudnnPlan& plan, const AttentionOp& op);

  CudnnTarget target_;
  DeviceStream& stream_;
  Workspace& workspace_;
  PlanTable& table_;
  PlanRule rule_;
  Context context_;
  std::map<AttentionShape, Kernel> kernels_;
};

}  // namespace diffuse::cuda
