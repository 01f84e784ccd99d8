#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <string>

#include "apps/diffuse_batch/picture_maker.hpp"

namespace diffuse {

/// Pictures between denoising and their files. Where decoding runs beside the denoising of the next
/// batch, one is given to the device at a time, so that a request to stop finds little under way,
/// and the next one between two steps once that has ended. Elsewhere add() decodes at once.
class DecodeQueue {
 public:
  struct Outlets {
    std::function<void(const RenderJob&, RenderResult, Image)> decoded;
    /// Instead of it, with what is said of that.
    std::function<void(const RenderJob&, const std::string&)> out_of_memory;
  };
  /// Not more than `most` pictures wait. `observe` is called between ops.
  DecodeQueue(PictureMaker& maker, std::size_t most, StepObserver observe, Outlets outlets);

  // All throw what the decoder throws, but for want of memory, and StoppedError where `observe`
  // asks to stop; pictures that have not come out by then stay in the queue, or have no result.

  /// Waits for the oldest pictures where too many are waiting.
  void add(const RenderJob& job, RenderResult result, Latents latents);
  /// Lets out what has ended and begins the next one; does not wait.
  void serve();
  /// Waits for all.
  void finish();
  [[nodiscard]] bool empty() const { return entries_.empty(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    RenderJob job;
    RenderResult result;
    Latents latents;
    Clock::time_point began{};
    PendingImage image{};
  };
  void begin_next();
  void take_first();
  void wait_for_first();

  PictureMaker& maker_;
  std::size_t most_;
  StepObserver observe_;
  Outlets outlets_;
  std::deque<Entry> entries_;
  std::size_t begun_ = 0;  // the first ones
};

}  // namespace diffuse
