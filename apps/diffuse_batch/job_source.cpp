#include "apps/diffuse_batch/job_source.hpp"

#include <algorithm>
#include <utility>

#include "apps/diffuse_batch/stop.hpp"

namespace diffuse {
namespace {

// The way to root and back: both ends look for messages at least every 10 ms, on busy cores later.
constexpr std::chrono::duration<double> kAhead{0.05};
constexpr std::size_t kMostAhead = 4096;
// A signal cannot wake a thread that waits for jobs.
constexpr std::chrono::milliseconds kLookForStop{20};

}  // namespace

BatchQueue::BatchQueue(std::vector<RenderJob> jobs, int batch_size)
    : jobs_(std::move(jobs)), batches_(make_batches(jobs_, batch_size)) {}

std::vector<RenderJob> BatchQueue::take(std::size_t batches) {
  std::vector<RenderJob> taken;
  for (; batches > 0 && at_ < batches_.size(); --batches, ++at_) {
    for (const std::size_t position : batches_[at_]) taken.push_back(std::move(jobs_[position]));
  }
  return taken;
}

FetchedJobs::FetchedJobs(std::vector<RenderJob> first, int batch_size)
    : ready_(std::move(first), batch_size), batch_size_(batch_size), ended_(ready_.empty()) {}

void FetchedJobs::measure() {
  const Clock::time_point now = Clock::now();
  if (began_any_) {
    const std::chrono::duration<double> taken = now - began_;
    ahead_ = taken * static_cast<double>(kMostAhead) < kAhead
                 ? kMostAhead
                 : static_cast<std::size_t>(std::max(1.0, kAhead / taken));
  }
  began_any_ = true;
  began_ = now;
}

std::vector<RenderJob> FetchedJobs::next() {
  std::unique_lock lock(mutex_);
  measure();
  while (ready_.empty() && !ended_ && stop_requested() == Stop::no) {
    changed_.wait_for(lock, kLookForStop);
  }
  began_ = Clock::now();
  return ready_.take(1);
}

std::size_t FetchedJobs::wanted() {
  const std::lock_guard lock(mutex_);
  if (asked_ || ended_ || stop_requested() != Stop::no) return 0;
  // With one batch ahead: as soon as none is left that is not begun.
  if (ready_.batches() >= ahead_) return 0;
  asked_ = true;
  return ahead_;
}

void FetchedJobs::arrived(std::vector<RenderJob> jobs) {
  {
    const std::lock_guard lock(mutex_);
    asked_ = false;
    if (jobs.empty()) {
      ended_ = true;
    } else if (ready_.empty()) {
      ready_ = BatchQueue(std::move(jobs), batch_size_);
    } else {
      std::vector<RenderJob> all = ready_.take(ready_.batches());
      for (RenderJob& job : jobs) all.push_back(std::move(job));
      ready_ = BatchQueue(std::move(all), batch_size_);
    }
  }
  changed_.notify_one();
}

}  // namespace diffuse
