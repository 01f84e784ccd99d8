#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "apps/diffuse_batch/job_source.hpp"
#include "apps/diffuse_batch/run_settings.hpp"
#include "apps/diffuse_batch/run_times.hpp"
#include "mpi/communicator.hpp"

namespace diffuse {

/// How the jobs reach the ranks.
struct Distribution {
  std::unique_ptr<JobSource> jobs;  ///< of this rank
  FetchedJobs* fetched = nullptr;   ///< the same, if they are fetched: `dynamic`
  std::optional<BatchQueue> pool;   ///< on root, `dynamic`: what nobody has yet
  bool any = false;                 ///< this rank has something to do
};

/// Collective: hands `open`, root's jobs, out by MPI_Scatterv.
/// `static`: contiguous shares that differ by one job at most (share_of()). `dynamic`: one batch
/// for each rank, and the others are fetched, one batch ahead, by who is done first. `auto`: static
/// if all jobs cost the same, else dynamic. Throws AgreedEnd.
Distribution distribute(const mpi::Communicator& comm, const RunSettings& settings,
                        std::vector<RenderJob> open, RunTimes& times);

}  // namespace diffuse
