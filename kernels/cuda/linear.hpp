#pragma once

#include <cublasLt.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor/op.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/plans/plan_choice.hpp"
#include "kernels/plans/plan_table.hpp"

namespace diffuse::cuda {

/// Linear layers by cuBLASLt, bias in its epilogue, residual as its C: the algorithm that the table
/// names, or that is chosen by the rule. By the strict rule it is that of a canonical number of
/// rows, without split-K, and used for any other number, so that a row's sum runs in one order
/// whatever batch it is in.
class LinearPlans {
 public:
  LinearPlans(DeviceStream& stream, Workspace& workspace, PlanTable& table, PlanRule rule);

  /// "13.1.0".
  static std::string version();
  /// False, and nothing done, where cuBLASLt has no algorithm for the layer.
  bool run(const LinearOp& op, const Context& context);
  /// Puts the choice for a shape into the table, unless it is there.
  void plan(const LinearShape& shape) { static_cast<void>(choice_of(shape)); }
  /// The same by the clock among the strict rule's candidates.
  void tune(const LinearShape& shape);
  /// Makes plans anew: the table was changed.
  void forget() { plans_.clear(); }

 private:
  struct HandleDeleter {
    void operator()(cublasLtHandle_t handle) const;
  };
  struct Plan;
  /// Device addresses; absent ones null.
  struct Operands {
    const void* weight = nullptr;
    const void* x = nullptr;
    const void* residual = nullptr;
    void* y = nullptr;
    const void* bias = nullptr;
  };

  [[nodiscard]] std::shared_ptr<Plan> make_plan(const LinearShape& shape) const;
  [[nodiscard]] std::vector<cublasLtMatmulAlgo_t> candidates(const LinearShape& shape,
                                                             PlanRule rule) const;
  [[nodiscard]] std::optional<AlgorithmChoice> measured(const LinearShape& shape, PlanRule rule);
  [[nodiscard]] const std::optional<AlgorithmChoice>& choice_of(const LinearShape& shape);
  /// What the table or the rule chose, as the library proposes it.
  [[nodiscard]] std::optional<cublasLtMatmulAlgo_t> algorithm_of(const LinearShape& shape);
  [[nodiscard]] LinearShape key_of(const LinearShape& shape) const {
    return rule_ == PlanRule::fast ? shape : shape.canonical();
  }
  Plan& plan_of(const LinearShape& shape);
  cublasStatus_t launch(const Plan& plan, const cublasLtMatmulAlgo_t& algorithm,
                        const Operands& operands, std::byte* scratch);

  DeviceStream& stream_;
  Workspace& workspace_;
  PlanTable& table_;
  PlanRule rule_;
  std::unique_ptr<cublasLtContext, HandleDeleter> handle_;
  std::map<LinearShape, std::shared_ptr<Plan>> plans_;
};

}  // namespace diffuse::cuda
