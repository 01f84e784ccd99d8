#pragma once

#include "apps/diffuse_batch/preparation.hpp"
#include "mpi/communicator.hpp"

namespace diffuse {

// Which kernels of the GPU libraries a run uses, the same on all ranks. All collective; they throw
// AgreedEnd. On devices without such choices they do nothing, and say so where a flag asked for
// some.

/// Root finds the table to begin with (plan_sources.hpp; the user's cache with --fast), and all
/// ranks use it. The backend's numerics() then names it.
void find_plans(const mpi::Communicator& comm, Preparation& prepared);

/// Before the first picture: root makes the choices for the run's model and size, all ranks use
/// them, and they are stored in the output folder. Not with --fast.
void settle_plans(const mpi::Communicator& comm, Preparation& prepared);

/// At the end: what the ranks chose beside these is stored, in the user's cache with --fast.
void keep_plans(const mpi::Communicator& comm, Preparation& prepared);

/// --tune-plans: root times the candidates for every layer of the model and adds the fastest to the
/// file.
void tune_plans(const mpi::Communicator& comm, Preparation& prepared);

}  // namespace diffuse
