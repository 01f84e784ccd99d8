#pragma once

#include <iosfwd>

#include "apps/diffuse_batch/job_list.hpp"
#include "apps/diffuse_batch/run_settings.hpp"
#include "core/io/model_folder.hpp"

namespace diffuse {

/// The plan of a run: jobs per rank, batches, settings, memory and work, from shapes alone; no
/// weight is read and nothing is written.
void print_plan(std::ostream& out, const JobList& list, const RunSettings& settings,
                const ModelFolder* folder, int ranks);

}  // namespace diffuse
