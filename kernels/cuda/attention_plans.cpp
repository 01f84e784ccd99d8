#include "kernels/cuda/attention_plans.hpp"

#include <memory>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "kernels/cuda/attention_trial.hpp"
#include "kernels/cuda/cudnn_attention.hpp"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

constexpr std::size_t kTimed = 4;
constexpr std::int64_t kTensorCores = 80;
constexpr std::int64_t kWarpgroups = 90;
#ifdef DIFFUSE_CUDA_WGMMA
constexpr bool kBuiltForWarpgroups = true;
#else
constexpr bool kBuiltForWarpgroups = false;
#endif

bool aligned(const Tensor& rows) {
  return reinterpret_cast<std::uintptr_t>(rows.data<std::byte>()) % 16 == 0;
}

}  // namespace

AttentionPlans::AttentionPlans(const CudnnHandle& handle, DeviceStream& stream,
                               Workspace& workspace, PlanTable& table, PlanRule rule)
    : target_{handle.get()}, stream_(stream), workspace_(workspace), table_(table), rule_(rule) {
  context_.stream = stream.get();
  context_.workspace = &workspace;
  context_.tensor_cores = table.machine.capability >= kTensorCores;
  context_.warpgroups = kBuiltForWarpgroups && table.machine.capability == kWarpgroups;
}

bool AttentionPlans::execute(const CudnnPlan& plan, const AttentionOp& op) {
  void* scratch = workspace_.reserve(static_cast<std::size_t>(plan.workspace_bytes));
  float scale = op.scale;
  return execute_cudnn(
      target_, plan.plan,
      {{kUidQ, kUidK, kUidV, kUidO, kUidScale},
       {op.q.data<void>(), op.k.data<void>(), op.v.data<void>(), op.y.data<void>(), &scale}},
      scratch);
}

std::optional<AttentionChoice> AttentionPlans::measured(const AttentionShape& shape) {
  std::vector<AttentionCandidate> candidates = {
      {"our default kernel", [this](const AttentionOp& op) {
         cuda::run(op, context_);
         return true;
       }}};
  std::vector<std::optional<AttentionChoice>> choices = {std::nullopt};
  if (context_.warpgroups && shape.dtype != DType::f32 && !shape.causal) {
    candidates.push_back({"our wgmma kernel", [this](const AttentionOp& op) {
                            return run_wgmma_attention(op, context_);
                          }});
    choices.emplace_back(OwnAttention::wgmma);
  }
  const CudnnDescriptor graph = attention_graph(shape, target_);
  for (EngineChoice& engine :
       engine_candidates(graph, shape.dtype, PlanRule::strict, kTimed, target_)) {
    auto plan = std::make_shared<CudnnPlan>(build_plan(graph, engine, target_));
    candidates.push_back({"cuDNN's engine " + std::to_string(engine.engine),
                          [this, plan](const AttentionOp& op) { return execute(*plan, op); }});
    choices.emplace_back(std::move(engine));
  }
  if (candidates.size() == 1) return std::nullopt;
  const auto best = fastest_attention(stream_, shape, candidates);
  return best ? choices[*best] : std::nullopt;
}

void AttentionPlans::plan(const AttentionShape& shape) {
  table_.attentions.emplace(shape.canonical(), std::nullopt);
}

void AttentionPlans::tune(const AttentionShape& shape) {
  table_.attentions[shape.canonical()] = measured(shape.canonical());
}

const AttentionPlans::Kernel& AttentionPlans::kernel_of(const AttentionShape& shape) {
  const auto known = kernels_.find(shape);
  if (known != kernels_.end()) return known->second;
  const bool fast = rule_ == PlanRule::fast;
  const AttentionShape key = fast ? shape : shape.canonical();
  auto choice = table_.attentions.find(key);
  if (choice == table_.attentions.end()) {
    choice = table_.attentions.emplace(key, fast ? measured(key) : std::nullopt).first;
  }
  Kernel kernel;
  if (choice->second == AttentionChoice(OwnAttention::wgmma)) {
    // The default kernel in its place would give other bytes than the table promises.
    if (!context_.warpgroups) {
      throw DeviceError(
          "the plan table names our wgmma kernel for attention, which this GPU or this build does "
          "not have; build for 90 too, or make the table anew with --tune-plans");
    }
    kernel.wgmma = true;
  } else if (choice->second) {
    kernel.library = build_plan(attention_graph(shape, target_),
                                std::get<EngineChoice>(*choice->second), target_);
    // Our own kernel for this batch alone would give its pictures other bytes.
    if (kernel.library.plan.get() == nullptr) {
      throw DeviceError("cuDNN's engine for attention does not take a batch of " +
                        std::to_string(shape.batch) +
                        "; use another --batch-size, or another plan table");
    }
  }
  return kernels_.emplace(shape, std::move(kernel)).first->second;
}

bool AttentionPlans::run(const AttentionOp& op) {
  if (op.upcast || op.y.shape().elements() == 0) return false;
  if (!aligned(op.q) || !aligned(op.k) || !aligned(op.v) || !aligned(op.y)) return false;
  const Kernel& kernel = kernel_of(shape_of(op));
  if (kernel.wgmma) return run_wgmma_attention(op, context_);
  if (kernel.library.plan.get() == nullptr) return false;
  if (!execute(kernel.library, op)) {
    throw DeviceError("cuDNN failed while running attention; the same command continues the run",
                      ExitCode::device_lost);
  }
  return true;
}

}  // namespace diffuse::cuda
