#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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

/// Called between ops and steps: step in [0, steps). Returning false drops the work in hand.
using StepObserver = std::function<bool(int step, int steps)>;

}  // namespace diffuse
