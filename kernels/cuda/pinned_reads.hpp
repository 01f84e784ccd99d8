#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "core/tensor/pending_read.hpp"
#include "kernels/cuda/device.hpp"

namespace diffuse::cuda {

/// Device memory to host memory without waiting: each copy has a pinned buffer and an event behind
/// it in the stream. Pinning memory may wait for the whole device, so buffers are kept and used
/// again, which a buffer that was given up before its copy had ended is only afterwards.
class PinnedReads {
 public:
  explicit PinnedReads(DeviceStream& stream) : stream_(stream) {}

  /// Behind all that the stream was given so far. The read may live longer than this object, whose
  /// stream must have come to its end by then.
  [[nodiscard]] std::unique_ptr<PendingRead> begin(const void* from, std::size_t bytes);

 private:
  struct Buffer {
    Pinned memory;
    std::size_t bytes = 0;
    Event copied;  ///< reached when the last copy into it has ended
  };
  class Read;
  [[nodiscard]] std::shared_ptr<Buffer> free_buffer(std::size_t bytes);

  DeviceStream& stream_;
  std::vector<std::shared_ptr<Buffer>> buffers_;  ///< a read under way owns its own, too
};

}  // namespace diffuse::cuda
