#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/context.hpp"

namespace diffuse::cuda {

/// Throws DeviceError unless the call succeeded: `doing` completes "the GPU failed while ...".
void check(cudaError_t status, const char* doing);

/// What is wrong with GPU `index` (modulo the visible ones) for this program: no driver, too old a
/// driver, no GPU, too old a GPU. Empty if nothing.
std::string problem_of_device(int index);
/// `index` modulo the number of visible GPUs.
int visible_device(int index);

struct StreamDeleter {
  void operator()(cudaStream_t stream) const;
};
struct EventDeleter {
  void operator()(cudaEvent_t event) const;
};
struct PinnedDeleter {
  void operator()(void* memory) const;
};
using Event = std::unique_ptr<CUevent_st, EventDeleter>;
using Pinned = std::unique_ptr<void, PinnedDeleter>;
/// Of no use for times. `flags`: more of cudaEventCreateWithFlags.
Event make_event(unsigned flags = 0);
Pinned make_pinned(std::size_t bytes);

/// A stream and the pool that its memory comes from, in the stream's order. Memory keeps it alive.
class DeviceStream : public std::enable_shared_from_this<DeviceStream> {
 public:
  explicit DeviceStream(int device);

  [[nodiscard]] cudaStream_t get() const { return stream_.get(); }
  [[nodiscard]] int device() const { return device_; }
  /// 256-byte aligned. Throws DeviceError where memory is short.
  [[nodiscard]] std::shared_ptr<void> allocate(std::size_t bytes);
  void wait() const;
  /// Most bytes that were in use at a time.
  [[nodiscard]] std::size_t peak_bytes() const;

 private:
  int device_;
  cudaMemPool_t pool_ = nullptr;
  std::unique_ptr<CUstream_st, StreamDeleter> stream_;
};

/// Grows as needed, at least twofold, and never gives back: captured graphs go on using what they
/// were captured with, and after a first run nothing is allocated any more.
class DeviceWorkspace final : public Workspace {
 public:
  explicit DeviceWorkspace(DeviceStream& stream) : stream_(stream) {}
  std::byte* reserve(std::size_t bytes) override;

 private:
  DeviceStream& stream_;
  std::vector<std::shared_ptr<void>> blocks_;  ///< the last one is in use
  std::size_t bytes_ = 0;
};

/// Host memory to device memory and back, through two pinned buffers by turns: one is filled while
/// the other is on its way.
class Staging {
 public:
  static constexpr std::size_t kBytes = std::size_t{16} << 20;

  explicit Staging(DeviceStream& stream);
  void write(const std::byte* from, void* to, std::size_t bytes);
  /// Waits for the stream, then copies.
  void read(const void* from, std::byte* to, std::size_t bytes);

 private:
  struct Buffer {
    Pinned memory;
    Event free;  ///< reached when the last copy out of it has ended
  };
  DeviceStream& stream_;
  Buffer buffers_[2];
  int next_ = 0;
};

}  // namespace diffuse::cuda
