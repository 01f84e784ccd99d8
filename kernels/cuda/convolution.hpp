#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/tensor/op.hpp"
#include "kernels/cuda/cudnn_graph.hpp"
#include "kernels/cuda/device.hpp"

namespace diffuse::cuda {

/// Convolutions by cuDNN: a plan for each shape met. The engine is chosen once for a layer, for a
/// canonical batch, and set the same way for any other, so that a picture's sums run in one order
/// whatever batch it is in.
class ConvolutionPlans {
 public:
  ConvolutionPlans(DeviceStream& stream, Workspace& workspace);

  /// "cudnn 9.19.0".
  static std::string version();
  /// False, and nothing done, where cuDNN has no engine for the layer.
  bool run(const Conv2dOp& op, const Context& context);

 private:
  /// Batch that engines are chosen for: both halves of guidance for eight pictures.
  static constexpr std::int64_t kCanonicalBatch = 16;

  struct HandleDeleter {
    void operator()(cudnnHandle_t handle) const;
  };
  const ConvolutionPlan& plan_of(const ConvolutionShape& shape);

  Workspace& workspace_;
  std::unique_ptr<cudnnContext, HandleDeleter> handle_;
  std::map<ConvolutionShape, std::optional<EngineChoice>> choices_;  // by shape at canonical batch
  std::map<ConvolutionShape, ConvolutionPlan> plans_;
};

}  // namespace diffuse::cuda
