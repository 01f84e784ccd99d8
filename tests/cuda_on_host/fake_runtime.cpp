#include "tests/cuda_on_host/fake_runtime.hpp"

#include <cuda_runtime_api.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <set>

using Work = std::vector<std::function<void()>>;

struct CUstream_st {
  std::deque<std::function<void()>> work;
  bool capturing = false;
  Work captured;
  std::size_t done = 0, queued = 0;
  std::size_t freed = 0;  // bytes, by work that is still queued
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

CUstream_st* captured_stream = nullptr;
std::set<CUstream_st*> all_streams;
std::map<void*, std::size_t> sizes;  // of device memory

void note_call_for(const CUstream_st& stream) {
  if (captured_stream != nullptr && captured_stream != &stream) ++runtime().beside_capture;
}

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
  note_call_for(s);
  if (s.capturing) {
    s.captured.push_back(std::move(work));
    return;
  }
  s.work.push_back(std::move(work));
  if (s.queued++ == 0) ++runtime().streams;
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
  fake_cuda::all_streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  fake_cuda::run_until(*stream, stream->queued);
  fake_cuda::all_streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->capturing) return cudaErrorStreamCaptureUnsupported;
  fake_cuda::run_until(*stream, stream->queued);
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  if (fake_cuda::captured_stream != nullptr) return cudaErrorStreamCaptureUnsupported;
  for (CUstream_st* stream : fake_cuda::all_streams) {
    fake_cuda::run_until(*stream, stream->queued);
  }
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
cudaError_t cudaEventQuery(cudaEvent_t event) {
  CUstream_st* stream = event->stream;
  if (stream == nullptr) return cudaSuccess;
  fake_cuda::note_call_for(*stream);
  if (stream->done < event->after) fake_cuda::run_until(*stream, stream->done + 1);
  return stream->done < event->after ? cudaErrorNotReady : cudaSuccess;
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
  const std::size_t others = runtime().memory_used - stream->freed;
  if (others > runtime().memory || bytes > runtime().memory - others) {
    return cudaErrorMemoryAllocation;
  }
  *memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (*memory == MAP_FAILED) return cudaErrorMemoryAllocation;
  std::memset(*memory, 0xFF, bytes);
  fake_cuda::sizes[*memory] = bytes;
  runtime().memory_used += bytes;
  ++runtime().allocations;
  return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  const std::size_t bytes = fake_cuda::sizes.at(memory);
  fake_cuda::sizes.erase(memory);
  stream->freed += bytes;
  fake_cuda::enqueue(stream, [=] {
    ::munmap(memory, bytes);
    stream->freed -= bytes;
    runtime().memory_used -= bytes;
  });
  --runtime().allocations;
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  *memory = std::malloc(bytes);
  ++runtime().pinned;
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
  fake_cuda::captured_stream = stream;
  ++runtime().captures;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = new CUgraph_st{std::move(stream->captured)};
  stream->captured.clear();
  stream->capturing = false;
  fake_cuda::captured_stream = nullptr;
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
