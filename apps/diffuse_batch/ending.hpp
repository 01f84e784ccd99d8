#pragma once

#include <optional>

#include "apps/diffuse_batch/job_list.hpp"
#include "apps/diffuse_batch/preparation.hpp"
#include "apps/diffuse_batch/reporter.hpp"
#include "apps/diffuse_batch/together.hpp"
#include "mpi/communicator.hpp"

namespace diffuse {

/// Collective, after the rendering: what is still to be told and written on root (`list` and
/// `reporter` are read there). Returns how the run ends.
/// Completes the summary of `prepared`.
AgreedEnd finish_run(const mpi::Communicator& comm, Preparation& prepared,
                     std::optional<JobList>& list, Reporter* reporter, AgreedEnd end);

}  // namespace diffuse
