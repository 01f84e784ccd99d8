#pragma once

#include <functional>
#include <optional>
#include <string>

namespace diffuse::mpi {

/// Value of an environment variable, or nothing.
using Environment = std::function<std::optional<std::string>(const char*)>;

/// The environment of this process.
std::optional<std::string> process_environment(const char* name);

/// The rank that the launcher's variables give to this process, 0 without any. Ranks that do not
/// know each other (launcher mismatch) can still agree by it on who prints the message.
int launched_rank(const Environment& environment = process_environment);

/// One line that says that the launcher and the MPI library do not match, or nothing if they do.
/// An `mpirun` of another MPI, or a batch job without `srun`, starts N processes that are each
/// "rank 0 of 1": each would render the whole list into the same files.
///   mpi_size      what MPI_Comm_size says; above 1 there is nothing to suspect
///   mpi_library   name and version of the library, for the hint
std::optional<std::string> launcher_mismatch(int mpi_size, const std::string& mpi_library,
                                             const Environment& environment = process_environment);

}  // namespace diffuse::mpi
