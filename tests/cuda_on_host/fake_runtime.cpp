#include "tests/cuda_on_host/fake_runtime.hpp"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>

using Work = std::vector<std::function<void()>>;

struct CUstream_st {
  std::deque<std::function<void()>> work;
  bool capturing = false;
  Work captured;
  std::size_t done = 0, queued = 0;
};
struct CUevent_st {
  CUstream_st* stream = nullptr;
  std::size_t after = 0;
  std::shared_ptr<double> milliseconds;  // where it tells the time
};
struct CUgraph_st {
  Work work;
};
struct CUgraphExec_st {
  Work work;
};

namespace fake_cuda {
namespace {

void run_until(CUstream_st& stream, std::size_t count) {
  while (stream.done < count) {
    stream.work.front()();
    stream.work.pop_front();
    ++stream.done;
  }
}

}  // namespace

Runtime& runtime() {
  static Runtime the_one;
  return the_one;
}

void enqueue(void* stream, std::function<void()> work) {
  auto& s = *static_cast<CUstream_st*>(stream);
  if (s.capturing) {
    s.captured.push_back(std::move(work));
    return;
  }
  s.work.push_back(std::move(work));
  ++s.queued;
}

bool is_capturing(void* stream) { return static_cast<CUstream_st*>(stream)->capturing; }

}  // namespace fake_cuda

using fake_cuda::runtime;

extern "C" {

cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "a made-up error"; }

cudaError_t cudaDriverGetVersion(int* version) {
  *version = runtime().driver;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = runtime().devices;
  return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? runtime().major : runtime().minor;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  fake_cuda::run_until(*stream, stream->queued);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->capturing) return cudaErrorStreamCaptureUnsupported;
  fake_cuda::run_until(*stream, stream->queued);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  ++runtime().events;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new CUevent_st{nullptr, 0, std::make_shared<double>()};
  ++runtime().events;
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = static_cast<float>(*end->milliseconds - *begin->milliseconds);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  --runtime().events;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->stream = stream;
  if (event->milliseconds) {
    fake_cuda::enqueue(stream, [time = event->milliseconds] { *time = runtime().milliseconds; });
  }
  event->after = stream->queued;
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->stream != nullptr) fake_cuda::run_until(*event->stream, event->after);
  return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr, void* value) {
  std::memset(value, 0, sizeof(std::uint64_t));
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t stream) {
  if (stream->capturing) return cudaErrorStreamCaptureUnsupported;
  *memory = std::malloc(bytes);
  ++runtime().allocations;
  return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  fake_cuda::enqueue(stream, [memory] { std::free(memory); });
  --runtime().allocations;
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  *memory = std::malloc(bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  fake_cuda::enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  fake_cuda::enqueue(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (runtime().capture_fails) return cudaErrorStreamCaptureUnsupported;
  stream->capturing = true;
  ++runtime().captures;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = new CUgraph_st{std::move(stream->captured)};
  stream->captured.clear();
  stream->capturing = false;
  ++runtime().graphs;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  --runtime().graphs;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  if (runtime().instantiation_fails) return cudaErrorMemoryAllocation;
  *executable = new CUgraphExec_st{graph->work};
  ++runtime().executables;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  --runtime().executables;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  fake_cuda::enqueue(stream, [work = executable->work] {
    for (const auto& one : work) one();
  });
  ++runtime().launches;
  return cudaSuccess;
}

}  // extern "C"
