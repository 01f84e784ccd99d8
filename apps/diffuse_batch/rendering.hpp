#pragma once

#include "apps/diffuse_batch/job_source.hpp"
#include "apps/diffuse_batch/picture_maker.hpp"
#include "apps/diffuse_batch/reporter.hpp"
#include "apps/diffuse_batch/run_settings.hpp"
#include "apps/diffuse_batch/together.hpp"
#include "mpi/communicator.hpp"

namespace diffuse {

/// What one rank renders with.
struct RankWork {
  PictureMaker* maker = nullptr;  ///< none on a rank without jobs
  JobSource& jobs;
  Reporter* reporter = nullptr;  ///< on root
};

/// Collective: every rank renders its jobs, root reports them as they end, and the ranks agree on
/// how it went; nothing is missing unless the code says so. Throws AgreedEnd.
AgreedEnd render_together(const mpi::Communicator& comm, const RunSettings& settings,
                          const RankWork& work);

}  // namespace diffuse
