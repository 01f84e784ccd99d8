#pragma once

#include <cublasLt.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/tensor/op.hpp"
#include "kernels/cuda/device.hpp"

namespace diffuse::cuda {

/// Linear layers by cuBLASLt, bias in its epilogue, residual as its C. The algorithm is chosen once
/// for a layer, for a canonical number of rows, without split-K, and used for any other number, so
/// that a row's sum runs in one order whatever batch it is in.
class LinearPlans {
 public:
  LinearPlans(DeviceStream& stream, Workspace& workspace);

  /// "cublaslt 13.1.0".
  static std::string version();
  /// False, and nothing done, where cuBLASLt has no algorithm for the layer.
  bool run(const LinearOp& op, const Context& context);

 private:
  struct HandleDeleter {
    void operator()(cublasLtHandle_t handle) const;
  };
  /// What a product [rows, in] x [out, in]^T is chosen by.
  struct Key {
    std::int64_t rows = 0, in = 0, out = 0, x_stride = 0, y_stride = 0, residual_stride = 0;
    DType dtype = DType::f16, out_dtype = DType::f16;
    bool bias = false, residual = false;
    std::uint32_t alignment = 16;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Plan;

  [[nodiscard]] std::shared_ptr<Plan> make_plan(const Key& key) const;
  [[nodiscard]] std::optional<cublasLtMatmulAlgo_t> choose(const Key& key) const;
  Plan& plan_of(const Key& key, std::int64_t canonical_rows);

  DeviceStream& stream_;
  Workspace& workspace_;
  std::unique_ptr<cublasLtContext, HandleDeleter> handle_;
  std::map<Key, std::optional<cublasLtMatmulAlgo_t>> choices_;  // by key at canonical rows
  std::map<Key, std::shared_ptr<Plan>> plans_;
};

}  // namespace diffuse::cuda
