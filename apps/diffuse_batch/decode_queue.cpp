#include "apps/diffuse_batch/decode_queue.hpp"

#include <utility>

#include "apps/diffuse_batch/out_of_memory.hpp"
#include "apps/diffuse_batch/stop.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kWhileWaiting = 2;  // begun: the device has work while the host takes one out

}  // namespace

DecodeQueue::DecodeQueue(PictureMaker& maker, std::size_t most, StepObserver observe,
                         Outlets outlets)
    : maker_(maker), most_(most), observe_(std::move(observe)), outlets_(std::move(outlets)) {}

void DecodeQueue::begin_next() {
  Entry& entry = entries_[begun_];
  entry.began = Clock::now();
  const std::string problem =
      out_of_memory_in([&] { entry.image = maker_.begin_decode(entry.latents, observe_); });
  if (!problem.empty()) {
    const RenderJob job = std::move(entry.job);
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(begun_));
    return outlets_.out_of_memory(job, problem);
  }
  if (entry.image.dropped()) throw StoppedError();
  entry.latents = {};
  ++begun_;
}

void DecodeQueue::take_first() {
  Entry entry = std::move(entries_.front());
  entries_.pop_front();
  --begun_;
  const std::string problem = out_of_memory_in([&] {
    Image image = entry.image.take();
    entry.result.milliseconds +=
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - entry.began).count();
    outlets_.decoded(entry.job, std::move(entry.result), std::move(image));
  });
  if (!problem.empty()) outlets_.out_of_memory(entry.job, problem);
}

void DecodeQueue::wait_for_first() {
  while (begun_ < kWhileWaiting && begun_ < entries_.size()) begin_next();
  if (begun_ > 0) take_first();
}

void DecodeQueue::add(const RenderJob& job, RenderResult result, Latents latents) {
  entries_.push_back({job, std::move(result), std::move(latents)});
  serve();
  while (entries_.size() > most_) wait_for_first();
}

void DecodeQueue::serve() {
  while (true) {
    while (begun_ > 0 && entries_.front().image.ready()) take_first();
    if (begun_ > 0 || entries_.empty()) return;
    begin_next();
  }
}

void DecodeQueue::finish() {
  while (!entries_.empty()) wait_for_first();
}

}  // namespace diffuse
