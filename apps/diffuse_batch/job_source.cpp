#include "apps/diffuse_batch/job_source.hpp"

#include <utility>

namespace diffuse {

FixedJobs::FixedJobs(std::vector<RenderJob> jobs, int batch_size)
    : jobs_(std::move(jobs)), batches_(make_batches(jobs_, batch_size)) {}

std::vector<RenderJob> FixedJobs::next() {
  std::vector<RenderJob> batch;
  if (at_ == batches_.size()) return batch;
  for (const std::size_t position : batches_[at_]) batch.push_back(std::move(jobs_[position]));
  ++at_;
  return batch;
}

}  // namespace diffuse
