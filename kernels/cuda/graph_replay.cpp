#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "kernels/cuda/cuda_backend.hpp"

namespace diffuse::cuda {

void CudaBackend::GraphDeleter::operator()(cudaGraphExec_t graph) const {
  static_cast<void>(cudaGraphExecDestroy(graph));
}

bool CudaBackend::capture(Recording& recording, const std::function<void()>& body) {
  const cudaStream_t stream = stream_->get();
  // Relaxed: loading a module at a kernel's first launch, or another thread's copy, is no mistake.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "starting a capture");
  try {
    body();
  } catch (...) {
    cudaGraph_t broken = nullptr;
    static_cast<void>(cudaStreamEndCapture(stream, &broken));
    static_cast<void>(cudaGetLastError());
    if (broken != nullptr) static_cast<void>(cudaGraphDestroy(broken));
    throw;
  }
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  const bool captured = cudaStreamEndCapture(stream, &graph) == cudaSuccess && graph != nullptr;
  const bool ready = captured && cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess;
  if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
  if (!ready) {
    static_cast<void>(cudaGetLastError());
    return false;
  }
  recording.graph.reset(executable);
  return true;
}

bool CudaBackend::replay(std::uint64_t key, const std::function<void()>& body) {
  use_device();
  Recording& recording = recordings_[key];
  // The first run makes plans and grows the workspace, which a capture may not.
  if (recording.runs++ == 0 || recording.refused) {
    body();
    return false;
  }
  if (recording.graph == nullptr) {
    try {
      recording.refused = !capture(recording, body);
    } catch (const DeviceError& error) {
      log()->debug("a CUDA graph was not captured: {}", error.what());
      recording.refused = true;
    }
    if (recording.refused) {
      body();
      return false;
    }
  }
  check(cudaGraphLaunch(recording.graph.get(), stream_->get()), "launching a graph");
  return true;
}

}  // namespace diffuse::cuda
