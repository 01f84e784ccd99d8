#include "kernels/cpu/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/base/error.hpp"

namespace diffuse::cpu {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLarge = 8 * kHugePage;  // the rest of its last page is a small part of it
constexpr std::size_t kChunk = 32 * kHugePage;

// Huge pages for what is large: a hundred times fewer page faults, and no misses in the TLB.
std::shared_ptr<void> allocate(std::size_t bytes, std::size_t large_from) {
  const bool large = bytes >= large_from;
  const std::size_t alignment = large ? kHugePage : 64;
  const std::size_t size =
      (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, size);
  if (memory != nullptr && large) madvise(memory, size, MADV_HUGEPAGE);
  if (memory == nullptr) {
    throw DeviceError("out of memory: " + std::to_string(bytes >> 20) +
                      " MiB more are needed; use a smaller picture size or batch");
  }
  return {memory, [](void* p) { std::free(p); }};
}

// The huge pages that lie within go back to the system; their memory stays reserved.
void discard(void* memory, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const std::uintptr_t end = (begin + bytes) / kHugePage * kHugePage;
  if (end > first)
    madvise(static_cast<std::byte*>(memory) + (first - begin), end - first, MADV_DONTNEED);
}

}  // namespace

std::shared_ptr<void> allocate_aligned(std::size_t bytes) { return allocate(bytes, kLarge); }

std::shared_ptr<void> WeightPool::allocate(std::size_t bytes) {
  if (bytes >= kLarge) return allocate_aligned(bytes);
  const std::size_t size = (std::max<std::size_t>(bytes, 1) + 63) / 64 * 64;
  if (chunk_ == nullptr || used_ + size > kChunk) {
    chunk_ = cpu::allocate(kChunk, kLarge);
    used_ = 0;
  }
  std::byte* memory = static_cast<std::byte*>(chunk_.get()) + used_;
  used_ += size;
  return {memory, [chunk = chunk_, size](void* p) { discard(p, size); }};
}

std::byte* Scratch::reserve(std::size_t bytes) {
  if (bytes > bytes_ || memory_ == nullptr) {
    memory_.reset();
    memory_ = allocate(bytes, kHugePage);
    bytes_ = bytes;
  }
  return static_cast<std::byte*>(memory_.get());
}

}  // namespace diffuse::cpu
