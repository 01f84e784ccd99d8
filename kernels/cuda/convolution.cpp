#include "kernels/cuda/convolution.hpp"

#include "core/base/error.hpp"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

void check(cudnnStatus_t status, const char* doing) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw DeviceError(std::string("cuDNN failed while ") + doing + ": " +
                        cudnnGetErrorString(status) + "; the same command continues the run",
                    ExitCode::device_lost);
}

bool aligned(const void* address) { return reinterpret_cast<std::uintptr_t>(address) % 16 == 0; }

// The bias in the activations' dtype, which is what the libraries add: at the front of the
// workspace, rounded up so that the rest stays aligned.
std::size_t bias_bytes(const Tensor& bias, DType dtype) {
  if (bias.empty() || dtype == DType::f32) return 0;
  return (static_cast<std::size_t>(bias.shape().elements()) * size_of(dtype) + 255) / 256 * 256;
}

}  // namespace

void ConvolutionPlans::HandleDeleter::operator()(cudnnHandle_t handle) const {
  static_cast<void>(cudnnDestroy(handle));
}

ConvolutionPlans::ConvolutionPlans(DeviceStream& stream, Workspace& workspace)
    : workspace_(workspace) {
  cudnnHandle_t handle = nullptr;
  check(cudnnCreate(&handle), "starting");
  handle_.reset(handle);
  check(cudnnSetStream(handle, stream.get()), "starting");
}

std::string ConvolutionPlans::version() {
  const std::size_t v = cudnnGetVersion();
  return "cudnn " + std::to_string(v / 10000) + "." + std::to_string(v % 10000 / 100) + "." +
         std::to_string(v % 100);
}

const ConvolutionPlan& ConvolutionPlans::plan_of(const ConvolutionShape& shape) {
  const auto known = plans_.find(shape);
  if (known != plans_.end()) return known->second;
  const CudnnTarget target{handle_.get()};
  const ConvolutionShape canonical = shape.with_batch(kCanonicalBatch);
  auto choice = choices_.find(canonical);
  if (choice == choices_.end()) {
    choice = choices_.emplace(canonical, choose_engine(canonical, target)).first;
  }
  ConvolutionPlan plan;
  if (choice->second) {
    plan = build_plan(shape, *choice->second, target);
    // Another engine for this batch alone would give its pictures other bytes.
    if (plan.plan.get() == nullptr) {
      throw DeviceError("cuDNN's engine for a layer does not take a batch of " +
                        std::to_string(shape.batch) + "; use another --batch-size");
    }
  }
  return plans_.emplace(shape, std::move(plan)).first->second;
}

bool ConvolutionPlans::run(const Conv2dOp& op, const Context& context) {
  const Shape& x = op.x.shape();
  if (op.y.shape().elements() == 0) return false;
  if (!aligned(op.x.data<void>()) || !aligned(op.y.data<void>())) return false;
  ConvolutionShape shape;
  shape.batch = x[0];
  shape.height = x[1];
  shape.width = x[2];
  shape.channels = x[3];
  shape.out_channels = op.weight.shape[0];
  shape.kernel_height = op.weight.shape[2];
  shape.kernel_width = op.weight.shape[3];
  shape.stride = op.stride;
  shape.pad_top = op.pad_top;
  shape.pad_left = op.pad_left;
  shape.pad_bottom = op.pad_bottom;
  shape.pad_right = op.pad_right;
  shape.dtype = op.x.dtype();
  // With a residual the bias is added in the same pass, after the product.
  shape.bias = !op.bias.empty() && op.residual.empty();
  const ConvolutionPlan& plan = plan_of(shape);
  if (plan.plan.get() == nullptr) return false;
  // The product goes to y first, which must not be what is added to it.
  const bool in_place = !op.residual.empty() && op.residual.data<void>() == op.y.data<void>();
  if (in_place) return false;

  const std::size_t front = shape.bias ? bias_bytes(op.bias, shape.dtype) : 0;
  std::byte* scratch = workspace_.reserve(front + static_cast<std::size_t>(plan.workspace_bytes));
  void* bias = shape.bias ? op.bias.data<void>() : nullptr;
  if (front > 0) {
    auto storage = std::make_shared<Storage>();
    storage->data = scratch;
    storage->bytes = front;
    const Tensor converted(storage, shape.dtype, op.bias.shape());
    cuda::run(CopyOp{op.bias, converted}, context);
    bias = scratch;
  }

  CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  std::vector<std::int64_t> uids{kUidX, kUidWeight, kUidY};
  std::vector<void*> pointers{op.x.data<void>(), const_cast<void*>(data_of(op.weight)),
                              op.y.data<void>()};
  if (shape.bias) {
    uids.push_back(kUidBias);
    pointers.push_back(bias);
  }
  void* rest = scratch + front;
  pack.set_int64s(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, uids);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, pointers.data(),
           static_cast<std::int64_t>(pointers.size()));
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, &rest);
  if (!pack.finalize()) check(CUDNN_STATUS_BAD_PARAM, "binding a convolution");
  check(cudnnBackendExecute(handle_.get(), plan.plan.get(), pack.get()), "running a convolution");
  run_epilogue(op, !shape.bias, context);
  return true;
}

}  // namespace diffuse::cuda
