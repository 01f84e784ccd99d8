#pragma once

#include <string>

#include "mpi/communicator.hpp"

namespace diffuse {

// Whether the nodes of a run see the same files. Collective; where all ranks are on one node these
// do nothing. One rank a node looks. They throw AgreedEnd on every rank if a node differs.

/// The prompt list: rank 0 alone reads it, so other nodes need not have it. But a node that has
/// another file of that name was not meant to (bad_list): most likely nothing else there is what
/// the user thinks either. Standard input and what is no plain file are not compared.
void agree_on_list(const mpi::Communicator& comm, const std::string& list);

/// The output folder, once rank 0 holds its lock: every node must see that lock, else its pictures
/// would go to a disk that nobody looks at (bad_output). NFS shows new files late, so a node looks
/// for up to ten seconds.
void agree_on_output_folder(const mpi::Communicator& comm, const std::string& folder);

}  // namespace diffuse
