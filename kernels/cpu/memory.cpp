#include "kernels/cpu/memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "core/base/error.hpp"

namespace diffuse::cpu {

std::shared_ptr<void> allocate_aligned(std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  const std::size_t size =
      (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, size);
  if (memory == nullptr) {
    throw DeviceError("out of memory: " + std::to_string(bytes >> 20) +
                      " MiB more are needed; use a smaller picture size or batch");
  }
  return {memory, [](void* p) { std::free(p); }};
}

std::byte* Scratch::reserve(std::size_t bytes) {
  if (bytes > bytes_ || memory_ == nullptr) {
    memory_.reset();
    memory_ = allocate_aligned(bytes);
    bytes_ = bytes;
  }
  return static_cast<std::byte*>(memory_.get());
}

}  // namespace diffuse::cpu
