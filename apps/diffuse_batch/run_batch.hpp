#pragma once

#include "apps/diffuse_batch/options.hpp"
#include "core/base/error.hpp"

namespace diffuse {

/// The whole run, on every rank: list, model, output folder, device, scatter, render, gather.
/// Endings are agreed: all ranks return the same code, and root has printed one line that says why.
/// Throws MpiError if MPI cannot start or a rank is lost.
ExitCode run(const ParsedOptions& parsed);

}  // namespace diffuse
