#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// Jobs in batches of equal settings, handed out in the order of the list.
class BatchQueue {
 public:
  BatchQueue(std::vector<RenderJob> jobs, int batch_size);

  /// The jobs of the next `batches` batches, or of as many as there are.
  std::vector<RenderJob> take(std::size_t batches);
  [[nodiscard]] bool empty() const { return at_ == batches_.size(); }
  [[nodiscard]] std::size_t batches() const { return batches_.size() - at_; }

 private:
  std::vector<RenderJob> jobs_;
  std::vector<std::vector<std::size_t>> batches_;
  std::size_t at_ = 0;
};

/// Where a rank's work comes from, batch by batch.
class JobSource {
 public:
  JobSource() = default;
  JobSource(const JobSource&) = delete;
  JobSource& operator=(const JobSource&) = delete;
  virtual ~JobSource() = default;

  /// The next batch: jobs that can be rendered together. Empty: there are no more for this rank, or
  /// a stop is requested and none is at hand.
  virtual std::vector<RenderJob> next() = 0;
};

/// A rank's share of the list, as it was scattered.
class FixedJobs final : public JobSource {
 public:
  FixedJobs(std::vector<RenderJob> jobs, int batch_size) : queue_(std::move(jobs), batch_size) {}
  std::vector<RenderJob> next() override { return queue_.take(1); }

 private:
  BatchQueue queue_;
};

/// Jobs that are fetched from root while earlier ones are rendered: the next chunk is asked for
/// when the last batch at hand is begun. A chunk is one batch; where batches take less than the way
/// to root and back may, as many as fill that time.
class FetchedJobs final : public JobSource {
 public:
  /// `first`: what this rank begins with; without any it asks for nothing more.
  FetchedJobs(std::vector<RenderJob> first, int batch_size);

  /// On the rendering thread. Waits for what was asked for.
  std::vector<RenderJob> next() override;

  // On the communication thread:
  /// Batches to ask root for now; then nothing is asked for until arrived(). 0: nothing.
  std::size_t wanted();
  /// The answer; empty: root has no more.
  void arrived(std::vector<RenderJob> jobs);

 private:
  using Clock = std::chrono::steady_clock;
  void measure();

  std::mutex mutex_;  // guards all members
  std::condition_variable changed_;
  BatchQueue ready_;
  int batch_size_;
  std::size_t ahead_ = 1;  // batches to have at hand and not begun
  bool asked_ = false;
  bool ended_;
  bool began_any_ = false;
  Clock::time_point began_;  // the batch in hand
};

}  // namespace diffuse
