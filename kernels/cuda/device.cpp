#include "kernels/cuda/device.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/base/error.hpp"

namespace diffuse::cuda {
namespace {

constexpr int kOldestMajor = 7, kOldestMinor = 5;

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

void check(cudaError_t status, const char* doing) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // what can be cleared is
  if (status == cudaErrorMemoryAllocation) {
    throw DeviceError(std::string("out of GPU memory while ") + doing +
                      "; use a smaller batch or picture");
  }
  throw DeviceError(std::string("the GPU failed while ") + doing + ": " +
                        cudaGetErrorString(status) + "; the same command continues the run",
                    ExitCode::device_lost);
}

std::string problem_of_device(int index) {
  int driver = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  if (driver == 0) {
    return "no NVIDIA driver is loaded on this machine; use --device cpu, or a node with a GPU";
  }
  // Within one major version any driver of it serves (minor version compatibility).
  if (driver / 1000 < CUDART_VERSION / 1000) {
    return "the NVIDIA driver serves CUDA " + version_text(driver) + ", this program needs CUDA " +
           std::to_string(CUDART_VERSION / 1000) + ".0; update the driver, or use --device cpu";
  }
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    static_cast<void>(cudaGetLastError());
    return std::string("no GPU is visible (") + cudaGetErrorString(status) +
           "); look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu";
  }
  int major = 0, minor = 0;
  const int device = index % count;
  if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess) {
    return "GPU " + std::to_string(device) + " does not answer; look at nvidia-smi";
  }
  if (major < kOldestMajor || (major == kOldestMajor && minor < kOldestMinor)) {
    return "GPU " + std::to_string(device) + " has compute capability " + std::to_string(major) +
           "." + std::to_string(minor) + ", but 7.5 or newer is needed; use --device cpu";
  }
  return {};
}

int visible_device(int index) {
  int count = 0;
  check(cudaGetDeviceCount(&count), "counting the GPUs");
  return index % std::max(count, 1);
}

// Destructors run while the process ends too, when there is nobody left to tell.
void StreamDeleter::operator()(cudaStream_t stream) const {
  static_cast<void>(cudaStreamDestroy(stream));
}
void EventDeleter::operator()(cudaEvent_t event) const {
  static_cast<void>(cudaEventDestroy(event));
}
void PinnedDeleter::operator()(void* memory) const { static_cast<void>(cudaFreeHost(memory)); }

Event make_event(unsigned flags) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | flags), "making an event");
  return Event(event);
}

Pinned make_pinned(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMallocHost(&memory, bytes), "pinning host memory");
  return Pinned(memory);
}

DeviceStream::DeviceStream(int device) : device_(device) {
  check(cudaSetDevice(device), "choosing the GPU");
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  stream_.reset(stream);
  check(cudaDeviceGetDefaultMemPool(&pool_, device), "asking for the memory pool");
  // Freed memory stays with the process: the next batch wants it back.
  std::uint64_t keep = UINT64_MAX;
  check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep),
        "setting up the memory pool");
}

std::shared_ptr<void> DeviceStream::allocate(std::size_t bytes) {
  void* memory = nullptr;
  const std::size_t size = std::max<std::size_t>(bytes, 1);
  const cudaError_t status = cudaMallocAsync(&memory, size, stream_.get());
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    throw DeviceError("out of GPU memory: " + std::to_string((size >> 20) + 1) +
                      " MiB more are needed; use a smaller batch or picture");
  }
  check(status, "allocating memory");
  return {memory, [self = shared_from_this()](void* p) {
            static_cast<void>(cudaFreeAsync(p, self->get()));
          }};
}

void DeviceStream::wait() const {
  check(cudaStreamSynchronize(stream_.get()), "waiting for its work");
}

std::size_t DeviceStream::peak_bytes() const {
  std::uint64_t bytes = 0;
  check(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrUsedMemHigh, &bytes),
        "asking for the peak of memory");
  return bytes;
}

std::byte* DeviceWorkspace::reserve(std::size_t bytes) {
  if (bytes > bytes_ || blocks_.empty()) {
    const std::size_t grown = std::max(bytes, 2 * bytes_);
    blocks_.push_back(stream_.allocate(grown));
    bytes_ = grown;
  }
  return static_cast<std::byte*>(blocks_.back().get());
}

Staging::Staging(DeviceStream& stream) : stream_(stream) {
  for (Buffer& buffer : buffers_) {
    buffer.memory = make_pinned(kBytes);
    buffer.free = make_event();
  }
}

void Staging::write(const std::byte* from, void* to, std::size_t bytes) {
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t length = std::min(kBytes, bytes - done);
    Buffer& buffer = buffers_[next_];
    next_ ^= 1;
    check(cudaEventSynchronize(buffer.free.get()), "copying to it");
    std::memcpy(buffer.memory.get(), from + done, length);
    check(cudaMemcpyAsync(static_cast<std::byte*>(to) + done, buffer.memory.get(), length,
                          cudaMemcpyHostToDevice, stream_.get()),
          "copying to it");
    check(cudaEventRecord(buffer.free.get(), stream_.get()), "copying to it");
    done += length;
  }
}

void Staging::read(const void* from, std::byte* to, std::size_t bytes) {
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t length = std::min(kBytes, bytes - done);
    Buffer& buffer = buffers_[next_];
    next_ ^= 1;
    check(cudaMemcpyAsync(buffer.memory.get(), static_cast<const std::byte*>(from) + done, length,
                          cudaMemcpyDeviceToHost, stream_.get()),
          "copying from it");
    stream_.wait();
    std::memcpy(to + done, buffer.memory.get(), length);
    done += length;
  }
  if (bytes == 0) stream_.wait();
}

}  // namespace diffuse::cuda
