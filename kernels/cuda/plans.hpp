#pragma once

#include <string>

#include "kernels/cuda/attention_plans.hpp"
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/linear.hpp"
#include "kernels/plans/planner.hpp"

namespace diffuse::cuda {

/// What libraries do for the backend, and one table of which of their kernels do it.
class CudaPlans final : public Planner {
 public:
  CudaPlans(DeviceStream& stream, Workspace& workspace, PlanRule rule);

  /// Part of numerics(): library versions, and "fast plans" or the table that choices came from.
  [[nodiscard]] std::string numerics() const;

  [[nodiscard]] PlanMachine machine() const override { return table_.machine; }
  void use(PlanTable table) override;
  [[nodiscard]] const PlanTable& table() const override { return table_; }
  void plan(const PlanShape& shape) override;
  void tune(const PlanShape& shape) override;

  // False, and nothing done, where a kernel of our own does it.
  bool run(const Conv2dOp& op, const Context& context) { return convolutions_.run(op, context); }
  bool run(const AttentionOp& op, const Context&) { return attentions_.run(op); }
  bool run(const LinearOp& op, const Context& context) { return linears_.run(op, context); }

 private:
  PlanRule rule_;
  int device_;
  PlanTable table_;
  CudnnHandle cudnn_;
  ConvolutionPlans convolutions_;
  LinearPlans linears_;
  AttentionPlans attentions_;
};

}  // namespace diffuse::cuda
