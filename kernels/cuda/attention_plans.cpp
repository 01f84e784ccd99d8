#include "kernels/cuda/attention_plans.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "kernels/cuda/cudnn_attention.hpp"
#include "kernels/cuda/event_timer.hpp"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

constexpr std::size_t kTimed = 4;
constexpr std::int64_t kTensorCores = 80;

bool aligned(const Tensor& rows) {
  return reinterpret_cast<std::uintptr_t>(rows.data<std::byte>()) % 16 == 0;
}

// Rows as they lie in a shape, in memory of their own.
Tensor timing_rows(DeviceStream& stream, const AttentionShape& s, std::int64_t rows,
                   std::int64_t stride) {
  auto storage = std::make_shared<Storage>();
  storage->keep_alive = timing_operand(stream, s.batch * rows * stride, s.dtype);
  storage->data = static_cast<std::byte*>(storage->keep_alive.get());
  storage->bytes = static_cast<std::size_t>(s.batch * rows * stride) * size_of(s.dtype);
  return Tensor(storage, s.dtype, {s.batch, rows, stride}).columns(0, s.heads * s.head_dim);
}

}  // namespace

AttentionPlans::AttentionPlans(const CudnnHandle& handle, DeviceStream& stream,
                               Workspace& workspace, PlanTable& table, PlanRule rule)
    : target_{handle.get()}, stream_(stream), workspace_(workspace), table_(table), rule_(rule) {
  context_.stream = stream.get();
  context_.workspace = &workspace;
  context_.tensor_cores = table.machine.capability >= kTensorCores;
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

std::optional<EngineChoice> AttentionPlans::measured(const AttentionShape& shape) {
  const CudnnDescriptor graph = attention_graph(shape, target_);
  const auto engines = engine_candidates(graph, shape.dtype, PlanRule::strict, kTimed, target_);
  if (engines.empty()) return std::nullopt;
  std::vector<CudnnPlan> plans;
  for (const EngineChoice& engine : engines) plans.push_back(build_plan(graph, engine, target_));
  AttentionOp op;
  op.q = timing_rows(stream_, shape, shape.queries, shape.q_stride);
  op.k = timing_rows(stream_, shape, shape.keys, shape.k_stride);
  op.v = timing_rows(stream_, shape, shape.keys, shape.v_stride);
  op.y = timing_rows(stream_, shape, shape.queries, shape.y_stride);
  op.heads = static_cast<int>(shape.heads);
  op.scale = 1 / std::sqrt(static_cast<float>(shape.head_dim));
  EventTimer timer(stream_, [&](std::size_t i) {
    if (i > 0) return execute(plans[i - 1], op);
    cuda::run(op, context_);
    return true;
  });
  const auto best = fastest(engines.size() + 1, timer);
  return best && *best > 0 ? std::optional(engines[*best - 1]) : std::nullopt;
}

void AttentionPlans::plan(const AttentionShape& shape) {
  table_.attentions.emplace(shape.canonical(), std::nullopt);
}

void AttentionPlans::tune(const AttentionShape& shape) {
  table_.attentions[shape.canonical()] = measured(shape.canonical());
}

const CudnnPlan& AttentionPlans::plan_of(const AttentionShape& shape) {
  const auto known = plans_.find(shape);
  if (known != plans_.end()) return known->second;
  const bool fast = rule_ == PlanRule::fast;
  const AttentionShape key = fast ? shape : shape.canonical();
  auto choice = table_.attentions.find(key);
  if (choice == table_.attentions.end()) {
    choice = table_.attentions.emplace(key, fast ? measured(key) : std::nullopt).first;
  }
  CudnnPlan plan;
  if (choice->second) {
    plan = build_plan(attention_graph(shape, target_), *choice->second, target_);
    // Our own kernel for this batch alone would give its pictures other bytes.
    if (plan.plan.get() == nullptr) {
      throw DeviceError("cuDNN's engine for attention does not take a batch of " +
                        std::to_string(shape.batch) +
                        "; use another --batch-size, or another plan table");
    }
  }
  return plans_.emplace(shape, std::move(plan)).first->second;
}

bool AttentionPlans::run(const AttentionOp& op) {
  if (op.upcast || op.y.shape().elements() == 0) return false;
  if (!aligned(op.q) || !aligned(op.k) || !aligned(op.v) || !aligned(op.y)) return false;
  const CudnnPlan& plan = plan_of(shape_of(op));
  if (plan.plan.get() == nullptr) return false;
  if (!execute(plan, op)) {
    throw DeviceError("cuDNN failed while running attention; the same command continues the run",
                      ExitCode::device_lost);
  }
  return true;
}

}  // namespace diffuse::cuda
