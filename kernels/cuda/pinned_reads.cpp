#include "kernels/cuda/pinned_reads.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace diffuse::cuda {
namespace {

bool reached(const Event& event) {
  const cudaError_t status = cudaEventQuery(event.get());
  if (status == cudaErrorNotReady) {
    static_cast<void>(cudaGetLastError());
    return false;
  }
  check(status, "copying from it");
  return true;
}

}  // namespace

class PinnedReads::Read final : public PendingRead {
 public:
  Read(std::shared_ptr<Buffer> buffer, std::size_t bytes)
      : buffer_(std::move(buffer)), bytes_(bytes) {}

  [[nodiscard]] bool ready() override { return reached(buffer_->copied); }
  [[nodiscard]] std::vector<std::uint8_t> take() override {
    check(cudaEventSynchronize(buffer_->copied.get()), "copying from it");
    const auto* begin = static_cast<const std::uint8_t*>(buffer_->memory.get());
    return {begin, begin + bytes_};
  }

 private:
  std::shared_ptr<Buffer> buffer_;
  std::size_t bytes_;
};

std::shared_ptr<PinnedReads::Buffer> PinnedReads::free_buffer(std::size_t bytes) {
  const auto found = std::find_if(buffers_.begin(), buffers_.end(), [&](const auto& buffer) {
    return buffer.use_count() == 1 && buffer->bytes >= bytes && reached(buffer->copied);
  });
  if (found != buffers_.end()) return *found;
  auto fresh = std::make_shared<Buffer>();
  fresh->memory = make_pinned(bytes);
  fresh->bytes = bytes;
  fresh->copied = make_event(cudaEventBlockingSync);
  return buffers_.emplace_back(std::move(fresh));
}

std::unique_ptr<PendingRead> PinnedReads::begin(const void* from, std::size_t bytes) {
  std::shared_ptr<Buffer> buffer = free_buffer(std::max<std::size_t>(bytes, 1));
  check(cudaMemcpyAsync(buffer->memory.get(), from, bytes, cudaMemcpyDeviceToHost, stream_.get()),
        "copying from it");
  check(cudaEventRecord(buffer->copied.get(), stream_.get()), "copying from it");
  return std::make_unique<Read>(std::move(buffer), bytes);
}

}  // namespace diffuse::cuda
