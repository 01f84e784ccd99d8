#pragma once

#include "apps/diffuse_batch/distribution.hpp"
#include "apps/diffuse_batch/picture_maker.hpp"
#include "apps/diffuse_batch/reporter.hpp"
#include "apps/diffuse_batch/run_settings.hpp"
#include "apps/diffuse_batch/run_summary.hpp"
#include "apps/diffuse_batch/together.hpp"
#include "mpi/communicator.hpp"

namespace diffuse {

/// Collective: every rank renders its jobs with `maker` (none where a rank has no jobs), root's
/// `reporter` tells of them as they end, and the ranks agree on how it went; nothing is missing
/// unless the code says so. Adds times, and on root the ranks, to `summary`. Throws AgreedEnd.
AgreedEnd render_together(const mpi::Communicator& comm, const RunSettings& settings,
                          Distribution& work, PictureMaker* maker, Reporter* reporter,
                          RunSummary& summary);

}  // namespace diffuse
