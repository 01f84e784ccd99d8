#pragma once

#include <optional>
#include <string>

#include "mpi/communicator.hpp"

namespace diffuse::mpi {

/// MPI from MPI_Init_thread to MPI_Finalize. Works without `mpirun` as the one rank of a group of
/// one. MPI may be used from any thread, by one at a time (MPI_THREAD_SERIALIZED).
class Session {
 public:
  /// Throws MpiError with ExitCode::launcher if MPI cannot start, or if the launcher's variables
  /// speak of more ranks than the library sees (launcher.hpp).
  Session();

  /// Waits for all ranks, sleeping, and ends MPI. While an exception is on its way out of the
  /// session's scope it does neither: the other ranks may be inside another collective. The process
  /// must then end with a code other than 0, and the launcher ends the other ranks.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// All ranks of the job.
  [[nodiscard]] const Communicator& world() const { return *world_; }

 private:
  int exceptions_at_start_;
  std::optional<Communicator> world_;
};

/// Name and version of the MPI library in a few words ("Open MPI v4.1.4"); works without a session.
std::string library_version();

}  // namespace diffuse::mpi
