#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/tensor/op.hpp"
#include "kernels/cuda/cudnn_engines.hpp"
#include "kernels/cuda/cudnn_handle.hpp"
#include "kernels/cuda/device.hpp"

namespace diffuse::cuda {

/// Convolutions by cuDNN: a plan for each shape met, of the engine that the table names or that is
/// chosen by the rule. By the strict rule a layer's engine is that of its canonical batch, set the
/// same way for any other, so that a picture's sums run in one order whatever batch it is in.
class ConvolutionPlans {
 public:
  ConvolutionPlans(const CudnnHandle& handle, DeviceStream& stream, Workspace& workspace,
                   PlanTable& table, PlanRule rule);

  /// False, and nothing done, where cuDNN has no engine for the layer.
  bool run(const Conv2dOp& op, const Context& context);
  /// Puts the choice for a shape into the table, unless it is there.
  void plan(const ConvolutionShape& shape) { static_cast<void>(choice_of(shape)); }
  /// The same by the clock among the strict rule's candidates.
  void tune(const ConvolutionShape& shape);
  /// Builds plans anew: the table was changed.
  void forget() { plans_.clear(); }

 private:
  [[nodiscard]] const std::optional<EngineChoice>& choice_of(const ConvolutionShape& shape);
  [[nodiscard]] std::optional<EngineChoice> measured(const ConvolutionShape& shape, PlanRule rule);
  const CudnnPlan& plan_of(const ConvolutionShape& shape);

  CudnnTarget target_;
  DeviceStream& stream_;
  Workspace& workspace_;
  PlanTable& table_;
  PlanRule rule_;
  std::map<ConvolutionShape, CudnnPlan> plans_;
};

}  // namespace diffuse::cuda
