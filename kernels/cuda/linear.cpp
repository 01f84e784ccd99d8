#include "kernels/cuda/linear.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "core/base/error.hpp"
#include "kernels/cuda/event_timer.hpp"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;
constexpr int kCandidates = 16;

void check(cublasStatus_t status, const char* doing) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw DeviceError(std::string("cuBLASLt failed while ") + doing + ": " +
                        cublasLtGetStatusString(status) + "; the same command continues the run",
                    ExitCode::device_lost);
}

cudaDataType_t data_type_of(DType dtype) {
  if (dtype == DType::f16) return CUDA_R_16F;
  return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

struct LayoutDeleter {
  void operator()(cublasLtMatrixLayout_t layout) const {
    static_cast<void>(cublasLtMatrixLayoutDestroy(layout));
  }
};
struct ProductDeleter {
  void operator()(cublasLtMatmulDesc_t product) const {
    static_cast<void>(cublasLtMatmulDescDestroy(product));
  }
};
struct PreferenceDeleter {
  void operator()(cublasLtMatmulPreference_t preference) const {
    static_cast<void>(cublasLtMatmulPreferenceDestroy(preference));
  }
};
template <class Handle, class Deleter>
using Owner = std::unique_ptr<std::remove_pointer_t<Handle>, Deleter>;
using Layout = Owner<cublasLtMatrixLayout_t, LayoutDeleter>;

Layout make_layout(DType dtype, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, data_type_of(dtype), static_cast<std::uint64_t>(rows),
                                   static_cast<std::uint64_t>(columns), stride),
        "describing a matrix");
  return Layout(layout);
}

AlgorithmChoice choice_from(const cublasLtMatmulAlgo_t& algorithm) {
  AlgorithmChoice choice{};
  static_assert(sizeof(choice) == sizeof(algorithm));
  std::memcpy(choice.data(), &algorithm, sizeof(algorithm));
  return choice;
}

bool splits_sum(const cublasLtMatmulAlgo_t& algorithm) {
  std::int32_t parts = 1;
  std::uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_NONE;
  std::size_t written = 0;
  static_cast<void>(cublasLtMatmulAlgoConfigGetAttribute(
      &algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts, sizeof(parts), &written));
  static_cast<void>(cublasLtMatmulAlgoConfigGetAttribute(
      &algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &reduction, sizeof(reduction), &written));
  return parts > 1 || reduction != CUBLASLT_REDUCTION_SCHEME_NONE;
}

}  // namespace

// Matrices are column-major to cuBLASLt, so it computes y^T = W x^T: A is W, B is x, C the
// residual.
struct LinearPlans::Plan {
  Owner<cublasLtMatmulDesc_t, ProductDeleter> product;
  Layout a, b, c, d;
  std::optional<cublasLtMatmulAlgo_t> algorithm;
};

void LinearPlans::HandleDeleter::operator()(cublasLtHandle_t handle) const {
  static_cast<void>(cublasLtDestroy(handle));
}

LinearPlans::LinearPlans(DeviceStream& stream, Workspace& workspace, PlanTable& table,
                         PlanRule rule)
    : stream_(stream), workspace_(workspace), table_(table), rule_(rule) {
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "starting");
  handle_.reset(handle);
}

std::string LinearPlans::version() {
  const std::size_t v = cublasLtGetVersion();
  return std::to_string(v / 10000) + "." + std::to_string(v % 10000 / 100) + "." +
         std::to_string(v % 100);
}

std::shared_ptr<LinearPlans::Plan> LinearPlans::make_plan(const LinearShape& key) const {
  auto plan = std::make_shared<Plan>();
  cublasLtMatmulDesc_t product = nullptr;
  check(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product");
  plan->product.reset(product);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  check(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                       sizeof(transposed)),
        "describing a product");
  if (key.bias) {
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const cudaDataType_t type = data_type_of(key.out_dtype);
    check(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                         sizeof(epilogue)),
          "describing a bias");
    check(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type,
                                         sizeof(type)),
          "describing a bias");
  }
  plan->a = make_layout(key.dtype, key.in, key.out, key.in);
  plan->b = make_layout(key.dtype, key.in, key.rows, key.x_stride);
  plan->c = make_layout(key.out_dtype, key.out, key.rows,
                        key.residual ? key.residual_stride : key.y_stride);
  plan->d = make_layout(key.out_dtype, key.out, key.rows, key.y_stride);
  return plan;
}

std::vector<cublasLtMatmulAlgo_t> LinearPlans::candidates(const LinearShape& key,
                                                          PlanRule rule) const {
  const std::shared_ptr<Plan> plan = make_plan(key);
  cublasLtMatmulPreference_t raw = nullptr;
  check(cublasLtMatmulPreferenceCreate(&raw), "choosing an algorithm");
  const Owner<cublasLtMatmulPreference_t, PreferenceDeleter> preference(raw);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t name, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(raw, name, &value, sizeof(value)),
          "choosing an algorithm");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
  const std::uint32_t reductions = rule == PlanRule::strict
                                       ? CUBLASLT_REDUCTION_SCHEME_NONE
                                       : CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions);
  for (const auto operand :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    set(operand, static_cast<std::uint32_t>(key.alignment));
  }
  cublasLtMatmulHeuristicResult_t results[kCandidates] = {};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle_.get(), plan->product.get(), plan->a.get(), plan->b.get(), plan->c.get(),
      plan->d.get(), raw, kCandidates, results, &count);
  std::vector<cublasLtMatmulAlgo_t> usable;
  if (status != CUBLAS_STATUS_SUCCESS) return usable;
  for (int i = 0; i < count; ++i) {
    if (results[i].state != CUBLAS_STATUS_SUCCESS) continue;
    if (rule == PlanRule::strict && splits_sum(results[i].algo)) continue;
    usable.push_back(results[i].algo);
  }
  return usable;
}

std::optional<AlgorithmChoice> LinearPlans::measured(const LinearShape& shape, PlanRule rule) {
  const std::vector<cublasLtMatmulAlgo_t> algorithms = candidates(shape, rule);
  if (algorithms.empty()) return std::nullopt;
  if (algorithms.size() == 1) return choice_from(algorithms.front());
  const std::shared_ptr<Plan> plan = make_plan(shape);
  const auto x = timing_operand(stream_, shape.rows * shape.x_stride, shape.dtype);
  const auto weight = timing_operand(stream_, shape.out * shape.in, shape.dtype);
  const auto bias = timing_operand(stream_, shape.out, shape.out_dtype);
  const std::int64_t y_stride = std::max(shape.y_stride, shape.residual_stride);
  const auto y = timing_operand(stream_, shape.rows * y_stride, shape.out_dtype);
  std::byte* scratch = workspace_.reserve(kWorkspaceBytes);
  EventTimer timer(stream_, [&](std::size_t i) {
    return launch(*plan, algorithms[i],
                  {weight.get(), x.get(), shape.residual ? y.get() : nullptr, y.get(),
                   shape.bias ? bias.get() : nullptr},
                  scratch) == CUBLAS_STATUS_SUCCESS;
  });
  const auto best = fastest(algorithms.size(), timer);
  return best ? std::optional(choice_from(algorithms[*best])) : std::nullopt;
}

void LinearPlans::tune(const LinearShape& shape) {
  table_.linears[shape.canonical()] = measured(shape.canonical(), PlanRule::strict);
}

const std::optional<AlgorithmChoice>& LinearPlans::choice_of(const LinearShape& shape) {
  const LinearShape key = key_of(shape);
  const auto known = table_.linears.find(key);
  if (known != table_.linears.end()) return known->second;
  std::optional<AlgorithmChoice> choice;
  if (rule_ == PlanRule::fast) {
    choice = measured(key, rule_);
  } else if (const auto proposed = candidates(key, rule_); !proposed.empty()) {
    choice = choice_from(proposed.front());
  }
  return table_.linears.emplace(key, choice).first->second;
}

std::optional<cublasLtMatmulAlgo_t> LinearPlans::algorithm_of(const LinearShape& shape) {
  const std::optional<AlgorithmChoice>& choice = choice_of(shape);
  if (!choice) return std::nullopt;
  for (const cublasLtMatmulAlgo_t& proposed : candidates(key_of(shape), rule_)) {
    if (choice_from(proposed) == *choice) return proposed;
  }
  throw DeviceError(
      "the plan table names an algorithm for a linear layer that cuBLASLt does not propose; make "
      "the table anew with --tune-plans");
}

LinearPlans::Plan& LinearPlans::plan_of(const LinearShape& shape) {
  const auto known = plans_.find(shape);
  if (known != plans_.end()) return *known->second;
  std::shared_ptr<Plan> plan = make_plan(shape);
  plan->algorithm = algorithm_of(shape);
  if (plan->algorithm) {
    cublasLtMatmulHeuristicResult_t result{};
    const cublasStatus_t status =
        cublasLtMatmulAlgoCheck(handle_.get(), plan->product.get(), plan->a.get(), plan->b.get(),
                                plan->c.get(), plan->d.get(), &*plan->algorithm, &result);
    // Another algorithm for this number of rows alone would give its pictures other bytes.
    if (status != CUBLAS_STATUS_SUCCESS || result.workspaceSize > kWorkspaceBytes) {
      throw DeviceError("cuBLASLt's algorithm for a layer does not take " +
                        std::to_string(shape.rows) + " rows; use another --batch-size");
    }
  }
  return *plans_.emplace(shape, std::move(plan)).first->second;
}

cublasStatus_t LinearPlans::launch(const Plan& plan, const cublasLtMatmulAlgo_t& algorithm,
                                   const Operands& operands, std::byte* scratch) {
  if (operands.bias != nullptr) {
    check(cublasLtMatmulDescSetAttribute(plan.product.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                         &operands.bias, sizeof(operands.bias)),
          "binding a bias");
  }
  const float one = 1, beta = operands.residual != nullptr ? 1.0F : 0.0F;
  const void* c = operands.residual != nullptr ? operands.residual : operands.y;
  return cublasLtMatmul(handle_.get(), plan.product.get(), &one, operands.weight, plan.a.get(),
                        operands.x, plan.b.get(), &beta, c, plan.c.get(), operands.y, plan.d.get(),
                        &algorithm, scratch, kWorkspaceBytes, stream_.get());
}

bool LinearPlans::run(const LinearOp& op, const Context& context) {
  if (op.x.shape().rows() == 0) return false;
  // What the epilogue does not hold, activation and then residual, follows in a pass of its own; an
  // operand that the product would overwrite before that pass is left to the plain kernel.
  const bool fused = op.activation == Activation::none;
  if (!fused && !op.residual.empty() && op.residual.data<void>() == op.y.data<void>()) return false;
  const LinearShape shape = shape_of(op);
  const Plan& plan = plan_of(shape);
  if (!plan.algorithm) return false;

  // Workspace: the library's, then the bias in the output's dtype.
  const std::size_t bias_bytes = static_cast<std::size_t>(shape.out) * size_of(shape.out_dtype);
  std::byte* scratch = workspace_.reserve(kWorkspaceBytes + bias_bytes);
  Operands operands{data_of(op.weight), op.x.data<void>(),
                    shape.residual ? op.residual.data<void>() : nullptr, op.y.data<void>(),
                    nullptr};
  if (shape.bias) {
    operands.bias = op.bias.data<void>();
    if (shape.out_dtype != DType::f32) {
      auto storage = std::make_shared<Storage>();
      storage->data = scratch + kWorkspaceBytes;
      storage->bytes = bias_bytes;
      cuda::run(CopyOp{op.bias, Tensor(storage, shape.out_dtype, op.bias.shape())}, context);
      operands.bias = storage->data;
    }
  }
  check(launch(plan, *plan.algorithm, operands, scratch), "running a linear layer");
  if (!fused) run_epilogue(op, false, context);
  return true;
}

}  // namespace diffuse::cuda
