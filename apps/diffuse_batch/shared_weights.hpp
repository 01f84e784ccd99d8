#pragma once

#include <memory>

#include "apps/diffuse_batch/preparation.hpp"
#include "mpi/shared_memory.hpp"

namespace diffuse {

/// Where several ranks of a node are about to load the model onto CPUs (`loads`), gives their
/// backends one memory for one copy of the weights, of which each rank fills a part. To be
/// published once all have loaded, and kept by every rank, loading or not, until the run ends:
/// freeing it is collective. Null, and private copies, on nodes with one such rank, on other
/// devices, and, with a warning, where the node's shared memory is too small. Collective.
std::shared_ptr<mpi::SharedMemory> share_weights(const mpi::Communicator& comm,
                                                 const Preparation& prepared, bool loads);

}  // namespace diffuse
