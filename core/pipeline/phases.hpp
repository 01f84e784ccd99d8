#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor/pending_read.hpp"

namespace diffuse {

// Plain data that travels between the three phases: encode, denoise, decode. Each phase can run
// alone, on the device of its own Ops.

/// What the denoiser knows of a text.
struct Conditioning {
  std::vector<float> sequence;  ///< [tokens, width], f32 whatever the run's dtype
  std::int64_t tokens = 0;
  std::int64_t width = 0;
};

/// Latents of one picture, [channels, height, width] as diffusers returns them.
struct Latents {
  std::vector<float> values;
  std::int64_t channels = 0, height = 0, width = 0;
};

/// 8-bit RGB, rows from the top.
struct Image {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;
};

/// Pixels that a device may still be at work on.
class PendingImage {
 public:
  /// Of no picture: the work was dropped.
  PendingImage() = default;
  PendingImage(int width, int height, std::unique_ptr<PendingRead> rgb)
      : width_(width), height_(height), rgb_(std::move(rgb)) {}

  [[nodiscard]] bool dropped() const { return rgb_ == nullptr; }
  /// Whether take() would not wait. Throws DeviceError.
  [[nodiscard]] bool ready() const { return rgb_->ready(); }
  /// Waits for the pixels and gives them away: once. Throws DeviceError.
  [[nodiscard]] Image take() { return {width_, height_, rgb_->take()}; }

 private:
  int width_ = 0, height_ = 0;
  std::unique_ptr<PendingRead> rgb_;
};

/// Called between ops and steps: step in [0, steps). Returning false drops the work in hand.
using StepObserver = std::function<bool(int step, int steps)>;

}  // namespace diffuse
