#pragma once

#include <span>
#include <string>

#include "core/tensor/backend.hpp"
#include "mpi/communicator.hpp"

namespace diffuse {

/// The device of one rank.
struct RankDevice {
  std::string host;
  std::string id;  ///< Backend::device_id()
};

/// A warning about ranks, given in order, that drive one GPU of one host; empty where each has its
/// own. An index could not tell: a launcher may show each rank its own GPU as the first.
std::string line_of_shared_gpus(std::span<const RankDevice> ranks);

/// Collective: root warns of GPUs that several ranks drive.
void warn_of_shared_gpus(const mpi::Communicator& comm, const Backend& backend);

}  // namespace diffuse
