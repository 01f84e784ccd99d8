#include "kernels/cuda/linear.hpp"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "core/base/error.hpp"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

/// Pictures, both halves counted, that algorithms are chosen for.
constexpr std::int64_t kCanonicalBatch = 16;
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

// Largest power of two up to 16 that divides an address and the bytes from row to row.
std::uint32_t alignment_of(std::uintptr_t together) {
  std::uint32_t alignment = 16;
  while (together % alignment != 0) alignment /= 2;
  return alignment;
}

std::uintptr_t places_of(const Tensor& t) {
  return reinterpret_cast<std::uintptr_t>(t.data<void>()) |
         static_cast<std::uintptr_t>(t.row_stride()) * size_of(t.dtype());
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

LinearPlans::LinearPlans(DeviceStream& stream, Workspace& workspace)
    : stream_(stream), workspace_(workspace) {
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "starting");
  handle_.reset(handle);
}

std::string LinearPlans::version() {
  const std::size_t v = cublasLtGetVersion();
  return "cublaslt " + std::to_string(v / 10000) + "." + std::to_string(v % 10000 / 100) + "." +
         std::to_string(v % 100);
}

std::shared_ptr<LinearPlans::Plan> LinearPlans::make_plan(const Key& key) const {
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

std::optional<cublasLtMatmulAlgo_t> LinearPlans::choose(const Key& key) const {
  const std::shared_ptr<Plan> plan = make_plan(key);
  cublasLtMatmulPreference_t raw = nullptr;
  check(cublasLtMatmulPreferenceCreate(&raw), "choosing an algorithm");
  const Owner<cublasLtMatmulPreference_t, PreferenceDeleter> preference(raw);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t name, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(raw, name, &value, sizeof(value)),
          "choosing an algorithm");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
  const std::uint32_t no_reduction = CUBLASLT_REDUCTION_SCHEME_NONE;
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, no_reduction);
  for (const auto operand :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    set(operand, key.alignment);
  }
  cublasLtMatmulHeuristicResult_t results[kCandidates] = {};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle_.get(), plan->product.get(), plan->a.get(), plan->b.get(), plan->c.get(),
      plan->d.get(), raw, kCandidates, results, &count);
  if (status != CUBLAS_STATUS_SUCCESS) return std::nullopt;
  for (int i = 0; i < count; ++i) {
    if (results[i].state == CUBLAS_STATUS_SUCCESS && !splits_sum(results[i].algo)) {
      return results[i].algo;
    }
  }
  return std::nullopt;
}

LinearPlans::Plan& LinearPlans::plan_of(const Key& key, std::int64_t canonical_rows) {
  const auto known = plans_.find(key);
  if (known != plans_.end()) return *known->second;
  Key canonical = key;
  canonical.rows = canonical_rows;
  auto choice = choices_.find(canonical);
  if (choice == choices_.end()) choice = choices_.emplace(canonical, choose(canonical)).first;
  std::shared_ptr<Plan> plan = make_plan(key);
  if (choice->second) {
    cublasLtMatmulHeuristicResult_t result{};
    const cublasStatus_t status =
        cublasLtMatmulAlgoCheck(handle_.get(), plan->product.get(), plan->a.get(), plan->b.get(),
                                plan->c.get(), plan->d.get(), &*choice->second, &result);
    // Another algorithm for this number of rows alone would give its pictures other bytes.
    if (status != CUBLAS_STATUS_SUCCESS || result.workspaceSize > kWorkspaceBytes) {
      throw DeviceError("cuBLASLt's algorithm for a layer does not take " +
                        std::to_string(key.rows) + " rows; use another --batch-size");
    }
    plan->algorithm = choice->second;
  }
  return *plans_.emplace(key, std::move(plan)).first->second;
}

bool LinearPlans::run(const LinearOp& op, const Context& context) {
  const Shape& x = op.x.shape();
  const std::int64_t rows = x.rows();
  if (rows == 0) return false;
  // What the epilogue does not hold, activation and then residual, follows in a pass of its own; an
  // operand that the product would overwrite before that pass is left to the plain kernel.
  const bool fused = op.activation == Activation::none;
  if (!fused && !op.residual.empty() && op.residual.data<void>() == op.y.data<void>()) return false;
  Key key;
  key.rows = rows;
  key.in = op.weight.shape[1];
  key.out = op.weight.shape[0];
  key.x_stride = rows > 1 ? op.x.row_stride() : key.in;
  key.y_stride = rows > 1 ? op.y.row_stride() : key.out;
  key.dtype = op.x.dtype();
  key.out_dtype = op.y.dtype();
  key.bias = !op.bias.empty();
  key.residual = fused && !op.residual.empty();
  std::uintptr_t places =
      places_of(op.x) | places_of(op.y) | static_cast<std::uintptr_t>(key.in) * size_of(key.dtype);
  if (key.residual) {
    key.residual_stride = rows > 1 ? op.residual.row_stride() : key.out;
    places |= places_of(op.residual);
  }
  key.alignment = alignment_of(places);
  const std::int64_t rows_a_picture = x.rank() > 1 ? rows / x[0] : rows;
  Plan& plan = plan_of(key, kCanonicalBatch * rows_a_picture);
  if (!plan.algorithm) return false;

  // Workspace: the library's, then the bias in the output's dtype.
  const std::size_t bias_bytes = static_cast<std::size_t>(key.out) * size_of(key.out_dtype);
  std::byte* scratch = workspace_.reserve(kWorkspaceBytes + bias_bytes);
  if (key.bias) {
    const void* bias = op.bias.data<void>();
    if (key.out_dtype != DType::f32) {
      auto storage = std::make_shared<Storage>();
      storage->data = scratch + kWorkspaceBytes;
      storage->bytes = bias_bytes;
      cuda::run(CopyOp{op.bias, Tensor(storage, key.out_dtype, op.bias.shape())}, context);
      bias = storage->data;
    }
    check(cublasLtMatmulDescSetAttribute(plan.product.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                         &bias, sizeof(bias)),
          "binding a bias");
  }
  const float one = 1, beta = key.residual ? 1.0F : 0.0F;
  const void* c = key.residual ? op.residual.data<void>() : op.y.data<void>();
  check(cublasLtMatmul(handle_.get(), plan.product.get(), &one, data_of(op.weight), plan.a.get(),
                       op.x.data<void>(), plan.b.get(), &beta, c, plan.c.get(), op.y.data<void>(),
                       plan.d.get(), &*plan.algorithm, scratch, kWorkspaceBytes, stream_.get()),
        "running a linear layer");
  if (!fused) run_epilogue(op, false, context);
  return true;
}

}  // namespace diffuse::cuda
