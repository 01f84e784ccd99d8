#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/attention_plans.hpp"
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/linear.hpp"
#include "kernels/plans/planner.hpp"

namespace diffuse::cuda {

/// What libraries do for the backend, and one table of which of their kernels do it.
class CudaPlans final : public Planner {
 public:
  /// `table`: that of plans on another stream of the same device, so that both keep to what either
  /// chooses; no use() of either after that. Null: a new one.
  CudaPlans(DeviceStream& stream, Workspace& workspace, PlanRule rule,
            std::shared_ptr<PlanTable> table);

  [[nodiscard]] PlanRule rule() const { return rule_; }
  [[nodiscard]] const std::shared_ptr<PlanTable>& shared_table() const { return table_; }

  /// Part of numerics(): library versions, and "fast plans" or the table that choices came from.
  [[nodiscard]] std::string numerics() const;

  [[nodiscard]] PlanMachine machine() const override { return table_->machine; }
  void use(PlanTable table) override;
  [[nodiscard]] const PlanTable& table() const override { return *table_; }
  void plan(const PlanShape& shape) override;
  void tune(const PlanShape& shape) override;

  // False, and nothing done, where a kernel of our own does it.
  bool run(const Conv2dOp& op, const Context& context) { return convolutions_.run(op, context); }
  bool run(const AttentionOp& op, const Context&) { return attentions_.run(op); }
  bool run(const LinearOp& op, const Context& context) { return linears_.run(op, context); }

 private:
  PlanRule rule_;
  int device_;
  std::shared_ptr<PlanTable> table_;
  CudnnHandle cudnn_;
  ConvolutionPlans convolutions_;
  LinearPlans linears_;
  AttentionPlans attentions_;
};

}  // namespace diffuse::cuda
