#include "kernels/cuda/convolution.hpp"

#include "core/base/error.hpp"
#include "kernels/cuda/cudnn_convolution.hpp"
#include "kernels/cuda/event_timer.hpp"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

constexpr std::size_t kTimed = 8;

bool aligned(const void* address) { return reinterpret_cast<std::uintptr_t>(address) % 16 == 0; }

// The bias in the activations' dtype, which is what the libraries add: at the front of the
// workspace, rounded up so that the rest stays aligned.
std::size_t bias_bytes(const Tensor& bias, DType dtype) {
  if (bias.empty() || dtype == DType::f32) return 0;
  return (static_cast<std::size_t>(bias.shape().elements()) * size_of(dtype) + 255) / 256 * 256;
}

// Operands of a shape, for timing.
class TimingOperands {
 public:
  TimingOperands(DeviceStream& stream, const ConvolutionShape& s)
      : x_(timing_operand(stream, s.batch * s.height * s.width * s.channels, s.dtype)),
        weight_(timing_operand(
            stream, s.out_channels * s.kernel_height * s.kernel_width * s.channels, s.dtype)),
        y_(timing_operand(stream, s.batch * out_pixels(s) * s.out_channels, s.dtype)) {
    if (s.bias) bias_ = timing_operand(stream, s.out_channels, s.dtype);
  }
  [[nodiscard]] CudnnBinding binding() const {
    CudnnBinding binding{{kUidX, kUidWeight, kUidY}, {x_.get(), weight_.get(), y_.get()}};
    if (bias_) {
      binding.uids.push_back(kUidBias);
      binding.pointers.push_back(bias_.get());
    }
    return binding;
  }

 private:
  static std::int64_t out_pixels(const ConvolutionShape& s) {
    return ((s.height + s.pad_top + s.pad_bottom - s.kernel_height) / s.stride + 1) *
           ((s.width + s.pad_left + s.pad_right - s.kernel_width) / s.stride + 1);
  }
  std::shared_ptr<void> x_, weight_, y_, bias_;
};

}  // namespace

ConvolutionPlans::ConvolutionPlans(const CudnnHandle& handle, DeviceStream& stream,
                                   Workspace& workspace, PlanTable& table, PlanRule rule)
    : target_{handle.get()}, stream_(stream), workspace_(workspace), table_(table), rule_(rule) {}

std::optional<EngineChoice> ConvolutionPlans::measured(const ConvolutionShape& shape,
                                                       PlanRule rule) {
  const CudnnDescriptor graph = convolution_graph(shape, target_);
  const auto candidates = engine_candidates(graph, shape.dtype, rule, kTimed, target_);
  if (candidates.empty()) return std::nullopt;
  if (candidates.size() == 1) return candidates.front();
  std::vector<CudnnPlan> plans;
  std::int64_t most = 0;
  for (const EngineChoice& candidate : candidates) {
    plans.push_back(build_plan(graph, candidate, target_));
    most = std::max(most, plans.back().workspace_bytes);
  }
  const TimingOperands operands(stream_, shape);
  void* scratch = workspace_.reserve(static_cast<std::size_t>(most));
  EventTimer timer(stream_, [&](std::size_t i) {
    return execute_cudnn(target_, plans[i].plan, operands.binding(), scratch);
  });
  const auto best = fastest(candidates.size(), timer);
  return best ? std::optional(candidates[*best]) : std::nullopt;
}

void ConvolutionPlans::tune(const ConvolutionShape& shape) {
  table_.convolutions[shape.canonical()] = measured(shape.canonical(), PlanRule::strict);
}

const std::optional<EngineChoice>& ConvolutionPlans::choice_of(const ConvolutionShape& shape) {
  const bool fast = rule_ == PlanRule::fast;
  const ConvolutionShape key = fast ? shape : shape.canonical();
  const auto known = table_.convolutions.find(key);
  if (known != table_.convolutions.end()) return known->second;
  auto choice = fast ? measured(key, rule_) : choose_engine(key, target_);
  return table_.convolutions.emplace(key, std::move(choice)).first->second;
}

const CudnnPlan& ConvolutionPlans::plan_of(const ConvolutionShape& shape) {
  const auto known = plans_.find(shape);
  if (known != plans_.end()) return known->second;
  CudnnPlan plan;
  if (const std::optional<EngineChoice>& choice = choice_of(shape)) {
    plan = build_plan(shape, *choice, target_);
    // Another engine for this batch alone would give its pictures other bytes.
    if (plan.plan.get() == nullptr) {
      throw DeviceError("cuDNN's engine " + std::to_string(choice->engine) +
                        " for a layer does not take a batch of " + std::to_string(shape.batch) +
                        "; use another --batch-size, or another plan table if one is given");
    }
  }
  return plans_.emplace(shape, std::move(plan)).first->second;
}

bool ConvolutionPlans::run(const Conv2dOp& op, const Context& context) {
  if (op.y.shape().elements() == 0) return false;
  if (!aligned(op.x.data<void>()) || !aligned(op.y.data<void>())) return false;
  const ConvolutionShape shape = shape_of(op);
  const CudnnPlan& plan = plan_of(shape);
  if (plan.plan.get() == nullptr) return false;
  // The product goes to y first, which must not be what is added to it.
  const bool in_place = !op.residual.empty() && op.residual.data<void>() == op.y.data<void>();
  if (in_place) return false;

  const std::size_t front = shape.bias ? bias_bytes(op.bias, shape.dtype) : 0;
  std::byte* scratch = workspace_.reserve(front + static_cast<std::size_t>(plan.workspace_bytes));
  CudnnBinding binding{
      {kUidX, kUidWeight, kUidY},
      {op.x.data<void>(), const_cast<void*>(data_of(op.weight)), op.y.data<void>()}};
  if (shape.bias) {
    void* bias = op.bias.data<void>();
    if (front > 0) {
      auto storage = std::make_shared<Storage>();
      storage->data = scratch;
      storage->bytes = front;
      const Tensor converted(storage, shape.dtype, op.bias.shape());
      cuda::run(CopyOp{op.bias, converted}, context);
      bias = scratch;
    }
    binding.uids.push_back(kUidBias);
    binding.pointers.push_back(bias);
  }
  if (!execute_cudnn(target_, plan.plan, std::move(binding), scratch + front)) {
    throw DeviceError(
        "cuDNN failed while running a convolution; the same command continues the run",
        ExitCode::device_lost);
  }
  run_epilogue(op, !shape.bias, context);
  return true;
}

}  // namespace diffuse::cuda
