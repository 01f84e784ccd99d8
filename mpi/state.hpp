#pragma once

#include <mpi.h>

#include <list>
#include <memory>
#include <string>

#include "mpi/communicator.hpp"
#include "mpi/wait.hpp"

namespace diffuse::mpi {

inline constexpr std::size_t kDefaultPieceBytes = std::size_t{64} << 20U;

/// A post on its way: MPI reads `bytes` until `request` is done.
struct Posted {
  int tag = 0;
  std::string bytes;
  MPI_Request request = MPI_REQUEST_NULL;
};

/// The handles behind a Communicator. Owns `comm` and frees it, unless MPI has ended before.
struct Communicator::State {
  explicit State(MPI_Comm owned);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  MPI_Comm comm;
  int rank = 0;
  int size = 1;
  std::string host;
  std::shared_ptr<State> node;  ///< null: this group is on one node by construction
  std::size_t piece_bytes = kDefaultPieceBytes;
  MPI_Request through = MPI_REQUEST_NULL;  ///< of all_through(), while it is not yet true
  Backoff through_backoff;
  std::list<Posted> outbox;  ///< a list, because MPI holds pointers into it
};

/// Makes a group over a copy of `of`, with its node's group.
Communicator make_communicator(MPI_Comm of);

}  // namespace diffuse::mpi
