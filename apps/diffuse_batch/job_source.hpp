#pragma once

#include <cstddef>
#include <vector>

#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// Where a rank's work comes from, batch by batch.
class JobSource {
 public:
  JobSource() = default;
  JobSource(const JobSource&) = delete;
  JobSource& operator=(const JobSource&) = delete;
  virtual ~JobSource() = default;

  /// The next batch: jobs that can be rendered together. Empty: there are no more for this rank.
  virtual std::vector<RenderJob> next() = 0;
};

/// A rank's share of the list, as it was scattered.
class FixedJobs final : public JobSource {
 public:
  FixedJobs(std::vector<RenderJob> jobs, int batch_size);
  std::vector<RenderJob> next() override;

 private:
  std::vector<RenderJob> jobs_;
  std::vector<std::vector<std::size_t>> batches_;
  std::size_t at_ = 0;
};

}  // namespace diffuse
