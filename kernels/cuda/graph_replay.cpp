#include "kernels/cuda/graph_replay.hpp"

#include <cstdlib>
#include <string_view>

#include "core/base/error.hpp"
#include "core/base/log.hpp"

namespace diffuse::cuda {
namespace {

struct GraphDeleter {
  void operator()(cudaGraph_t graph) const { static_cast<void>(cudaGraphDestroy(graph)); }
};
// One that is under way is freed when it has ended (CUDA driver API, cuGraphExecDestroy).
struct ExecutableDeleter {
  void operator()(cudaGraphExec_t graph) const { static_cast<void>(cudaGraphExecDestroy(graph)); }
};
using Graph = std::unique_ptr<CUgraph_st, GraphDeleter>;

// Ends a capture, whatever came of it; null where it failed.
Graph end_capture(cudaStream_t stream) {
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) return Graph(graph);
  static_cast<void>(cudaGetLastError());
  return nullptr;
}

bool wants_no_graphs() {
  const char* value = std::getenv("DIFFUSE_BATCH_CUDA_EAGER");
  return value != nullptr && std::string_view(value) == "1";
}

}  // namespace

struct GraphReplay::Recording final : Replay {
  std::unique_ptr<CUgraphExec_st, ExecutableDeleter> graph;
  bool refused = false;
};

GraphReplay::GraphReplay(DeviceStream& stream) : stream_(stream) {
  for (Event& event : done_) event = make_event(cudaEventBlockingSync);
}

GraphReplay::Outcome GraphReplay::capture(Recording& recording, const std::function<bool()>& body) {
  const cudaStream_t stream = stream_.get();
  // Relaxed: loading a module at a kernel's first launch, or another thread's copy, is no mistake.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "starting a capture");
  bool whole = false;
  try {
    whole = body();
  } catch (...) {
    static_cast<void>(end_capture(stream));
    throw;
  }
  const Graph graph = end_capture(stream);
  if (!whole) return Outcome::ended_early;
  cudaGraphExec_t executable = nullptr;
  if (graph == nullptr || cudaGraphInstantiate(&executable, graph.get(), 0) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return Outcome::refused;
  }
  recording.graph.reset(executable);
  return Outcome::captured;
}

void GraphReplay::launch(const Recording& recording) {
  check(cudaGraphLaunch(recording.graph.get(), stream_.get()), "launching a graph");
  check(cudaEventRecord(done_[next_].get(), stream_.get()), "launching a graph");
  next_ ^= 1;
  check(cudaEventSynchronize(done_[next_].get()), "waiting for a graph");
}

bool GraphReplay::run(std::unique_ptr<Replay>& kept, const std::function<bool()>& body) {
  if (kept == nullptr) {
    if (!body()) return false;
    auto fresh = std::make_unique<Recording>();
    fresh->refused = wants_no_graphs();
    kept = std::move(fresh);
    return true;
  }
  auto& recording = static_cast<Recording&>(*kept);
  if (recording.graph == nullptr && !recording.refused) {
    try {
      const Outcome outcome = capture(recording, body);
      if (outcome == Outcome::ended_early) return false;
      recording.refused = outcome == Outcome::refused;
    } catch (const DeviceError& error) {
      log()->debug("a CUDA graph was not captured: {}", error.what());
      recording.refused = true;
    }
  }
  if (recording.refused) return body();
  launch(recording);
  return true;
}

}  // namespace diffuse::cuda
