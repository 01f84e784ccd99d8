#include "apps/diffuse_batch/distribution.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <tuple>
#include <utility>

#include "apps/diffuse_batch/together.hpp"
#include "core/base/log.hpp"
#include "core/pipeline/job_codec.hpp"
#include "core/pipeline/partition.hpp"

namespace diffuse {
namespace {

bool cost_the_same(const std::vector<RenderJob>& jobs) {
  // What decides the work; some schedulers run the model twice a step.
  const auto work = [](const RenderJob& job) {
    return std::tuple(job.width, job.height, job.num_inference_steps, job.guidance_scale > 1,
                      job.scheduler, job.input.empty());
  };
  return std::adjacent_find(jobs.begin(), jobs.end(), [&](const auto& a, const auto& b) {
           return work(a) != work(b);
         }) == jobs.end();
}

bool is_dynamic(const Options& options, const std::vector<RenderJob>& jobs) {
  if (options.schedule != "auto") return options.schedule == "dynamic";
  return !options.apply_padding && !cost_the_same(jobs);
}

}  // namespace

Distribution distribute(const mpi::Communicator& comm, const RunSettings& settings,
                        std::vector<RenderJob> open, RunTimes& times) {
  Distribution out;
  std::vector<std::string> parts;
  const int ranks = comm.size();
  together(comm, [&] {
    if (!comm.is_root()) return;
    const Timed timed(times.splitting);
    if (is_dynamic(settings.options, open)) {
      log()->debug("schedule: dynamic");
      out.pool.emplace(std::move(open), settings.batch_size);
      for (int rank = 0; rank < ranks; ++rank) parts.push_back(pack_jobs(out.pool->take(1)));
      return;
    }
    const bool padding = settings.options.apply_padding && !open.empty();
    for (int rank = 0; rank < ranks; ++rank) {
      if (padding) {
        parts.push_back(pack_jobs(jobs_of_part(open, ranks, rank, true)));
        continue;
      }
      const Share share = share_of(open.size(), ranks, rank, false);
      const auto jobs = std::span(open).subspan(share.begin, share.length);
      parts.push_back(pack_jobs(jobs));
      for (RenderJob& job : jobs) job = {};  // a long list is not held twice
    }
    open = {};
  });
  const Timed timed(times.scattering);
  const bool dynamic = !comm.all_of(!out.pool.has_value());
  std::vector<RenderJob> mine = unpack_jobs(comm.scatter_bytes(0, parts));
  out.any = !mine.empty();
  if (dynamic) {
    auto fetched = std::make_unique<FetchedJobs>(std::move(mine), settings.batch_size);
    out.fetched = fetched.get();
    out.jobs = std::move(fetched);
  } else {
    out.jobs = std::make_unique<FixedJobs>(std::move(mine), settings.batch_size);
  }
  return out;
}

}  // namespace diffuse
