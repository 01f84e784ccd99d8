#pragma once

#include <cstddef>
#include <memory>

namespace diffuse::cpu {

/// Memory aligned to 64 bytes (at least one byte long); freed with the last owner. Throws
/// DeviceError where the system has none.
std::shared_ptr<void> allocate_aligned(std::size_t bytes);

/// Memory for many weights: small ones share huge pages, which the system hands out many times as
/// fast as small pages.
class WeightPool {
 public:
  /// As allocate_aligned.
  std::shared_ptr<void> allocate(std::size_t bytes);

 private:
  std::shared_ptr<void> chunk_;
  std::size_t used_ = 0;
};

/// Working memory of one op at a time: grows, never shrinks, contents are lost between calls.
class Scratch {
 public:
  std::byte* reserve(std::size_t bytes);

 private:
  std::shared_ptr<void> memory_;
  std::size_t bytes_ = 0;
};

}  // namespace diffuse::cpu
