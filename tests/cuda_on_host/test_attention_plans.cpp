// Who runs attention: a plan table's choice, and the choice by the clock. The runtime, cuDNN and
// both kernels of our own are stand-ins, so that this runs without any of them.
#include <catch2/catch.hpp>
#include <cstring>

#include "core/base/error.hpp"
#include "kernels/cuda/attention_plans.hpp"
#include "kernels/cuda/cudnn_attention.hpp"
#include "kernels/cuda/op_kernels.hpp"
#include "tests/cuda_on_host/fake_runtime.hpp"

namespace diffuse::cuda {
namespace {

using fake_cuda::runtime;

// How each stand-in behaves, and how often it ran. What they compute: the first row of each query
// tensor over all rows, zeros where one is wrong.
struct Stand {
  double milliseconds = 1;
  bool applies = true, wrong = false;
  int runs = 0;

  bool run(const AttentionOp& op, void* stream) {
    if (!applies) return false;
    ++runs;
    fake_cuda::enqueue(stream, [this, q = op.q, y = op.y] { perform(q, y); });
    return true;
  }
  void perform(const Tensor& q, const Tensor& y) const {
    runtime().milliseconds += milliseconds;
    const auto row = static_cast<std::size_t>(y.shape().back()) * 2;
    for (std::int64_t r = 0; r < y.shape().rows(); ++r) {
      std::byte* to = y.data<std::byte>() + 2 * r * y.row_stride();
      if (wrong) {
        std::memset(to, 0, row);
      } else {
        std::memcpy(to, q.data<std::byte>(), row);
      }
    }
  }
};

struct Stands {
  Stand own, wgmma, library;
  bool engines = true;
  cudaStream_t stream = nullptr;
  std::int64_t batch = kCanonicalBatch;  // of the library's operands, which reach it as addresses
};
Stands stands;

AttentionShape shape_with(std::int64_t batch, DType dtype = DType::f16) {
  return {.batch = batch,
          .heads = 2,
          .head_dim = 40,
          .queries = 5,
          .keys = 7,
          .q_stride = 80,
          .k_stride = 80,
          .v_stride = 80,
          .y_stride = 80,
          .dtype = dtype,
          .causal = false};
}

struct Workbench {
  explicit Workbench(PlanRule rule = PlanRule::strict, std::int64_t capability = 90) {
    runtime() = {};
    stands = {};
    stands.stream = stream->get();
    table.machine.capability = capability;
    handle.emplace(*stream);
    plans.emplace(*handle, *stream, workspace, table, rule);
  }
  // As the backend: true where a plan did it, else the default kernel does.
  bool run(std::int64_t batch, bool upcast = false) {
    const auto tensor = [&](std::int64_t rows) {
      auto storage = std::make_shared<Storage>();
      storage->bytes = static_cast<std::size_t>(batch * rows * 80) * 2;
      storage->keep_alive = stream->allocate(storage->bytes);
      storage->data = static_cast<std::byte*>(storage->keep_alive.get());
      return Tensor(storage, DType::f16, {batch, rows, 80});
    };
    AttentionOp op{tensor(5), tensor(7), tensor(7), 2, 1.0F, false, upcast, tensor(5)};
    stands.batch = batch;
    const bool done = plans->run(op);
    stream->wait();
    return done;
  }
  std::optional<AttentionChoice> tuned(DType dtype = DType::f16) {
    plans->tune(shape_with(2, dtype));
    return table.attentions.at(shape_with(kCanonicalBatch, dtype));
  }

  std::shared_ptr<DeviceStream> stream = std::make_shared<DeviceStream>(0);
  DeviceWorkspace workspace{*stream};
  PlanTable table;
  std::optional<CudnnHandle> handle;
  std::optional<AttentionPlans> plans;
};

const std::optional<AttentionChoice> kDefault = std::nullopt;
const std::optional<AttentionChoice> kByWgmma = AttentionChoice(OwnAttention::wgmma);
const std::optional<AttentionChoice> kByLibrary = AttentionChoice(EngineChoice{8, {}});

}  // namespace

// The stand-ins, in the place of what they stand for.
void run(const AttentionOp& op, const Context& context) {
  static_cast<void>(stands.own.run(op, context.stream));
}
bool run_wgmma_attention(const AttentionOp& op, const Context& context) {
  return context.warpgroups && stands.wgmma.run(op, context.stream);
}
bool execute_cudnn(const CudnnTarget&, const CudnnDescriptor&, CudnnBinding binding, void*) {
  const Shape shape{stands.batch, 5, 80};
  const auto placed = [&](void* at) {
    auto storage = std::make_shared<Storage>();
    storage->data = static_cast<std::byte*>(at);
    storage->bytes = static_cast<std::size_t>(shape.elements()) * 2;
    return Tensor(storage, DType::f16, shape);
  };
  AttentionOp op;
  op.q = placed(binding.pointers[0]);
  op.y = placed(binding.pointers[3]);
  return stands.library.run(op, stands.stream);
}
CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t)
    : descriptor_(std::make_shared<int>()) {}
CudnnDescriptor attention_graph(const AttentionShape&, const CudnnTarget&) { return {}; }
std::vector<EngineChoice> engine_candidates(const CudnnDescriptor&, DType dtype, PlanRule,
                                            std::size_t, const CudnnTarget&) {
  if (!stands.engines || dtype == DType::f32) return {};
  return {{8, {}}};
}
CudnnPlan build_plan(const CudnnDescriptor&, const EngineChoice&, const CudnnTarget&) {
  return {CudnnDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR), 0};
}
CudnnHandle::CudnnHandle(DeviceStream&) {}
void CudnnHandle::Deleter::operator()(cudnnHandle_t) const {}

TEST_CASE("attention is the default kernel's unless a table says otherwise") {
  Workbench bench;
  CHECK_FALSE(bench.run(2));
  CHECK(bench.table.attentions.size() == 1);
  CHECK(bench.table.attentions.at(shape_with(kCanonicalBatch)) == kDefault);
  CHECK(stands.wgmma.runs + stands.library.runs == 0);
}

TEST_CASE("attention is run by whom the table names, at every batch") {
  Workbench bench;
  bench.table.attentions[shape_with(kCanonicalBatch)] = kByWgmma;
  CHECK(bench.run(2));
  CHECK(bench.run(3));
  CHECK(stands.wgmma.runs == 2);
  // Products in f32 are the default kernel's, as is what the other does not take.
  CHECK_FALSE(bench.run(2, true));
  stands.wgmma.applies = false;
  CHECK_FALSE(bench.run(2));
  CHECK(stands.wgmma.runs == 2);
  CHECK(stands.library.runs == 0);

  bench.table.attentions[shape_with(kCanonicalBatch)] = kByLibrary;
  bench.plans->forget();
  CHECK(bench.run(2));
  CHECK(stands.library.runs == 1);
}

TEST_CASE("a table that names wgmma is refused where there is none") {
  for (const std::int64_t capability : {80, 89, 100}) {
    Workbench bench(PlanRule::strict, capability);
    bench.table.attentions[shape_with(kCanonicalBatch)] = kByWgmma;
    CHECK_THROWS_AS(bench.run(2), DeviceError);
    CHECK(stands.wgmma.runs == 0);
  }
}

TEST_CASE("tuning takes the fastest of attention's kernels that agrees with the default one") {
  Workbench bench;
  stands.wgmma.milliseconds = 0.5;
  CHECK(bench.tuned() == kByWgmma);
  CHECK(stands.library.runs > 0);
  stands.library.milliseconds = 0.25;
  CHECK(bench.tuned() == kByLibrary);
  stands.library.wrong = true;
  CHECK(bench.tuned() == kByWgmma);
  stands.wgmma.wrong = true;
  CHECK(bench.tuned() == kDefault);
  stands.wgmma = {};
  stands.library = {};
  stands.own.milliseconds = 0.25;
  CHECK(bench.tuned() == kDefault);
  stands.engines = false;
  stands.own.milliseconds = 2;
  CHECK(bench.tuned() == kByWgmma);
}

TEST_CASE("f32 and other GPUs leave nothing of our own to choose") {
  Workbench bench;
  CHECK(bench.tuned(DType::f32) == kDefault);
  CHECK(stands.own.runs == 0);
  Workbench older(PlanRule::strict, 80);
  stands.wgmma.milliseconds = 0.25;
  stands.library.milliseconds = 0.5;
  CHECK(older.tuned() == kByLibrary);
  CHECK(stands.wgmma.runs == 0);
}

TEST_CASE("by the fast rule attention is timed for the batch at hand") {
  Workbench bench(PlanRule::fast);
  stands.engines = false;
  stands.wgmma.milliseconds = 0.5;
  CHECK(bench.run(3));
  CHECK(bench.table.attentions.size() == 1);
  CHECK(bench.table.attentions.at(shape_with(3)) == kByWgmma);
}

}  // namespace diffuse::cuda
