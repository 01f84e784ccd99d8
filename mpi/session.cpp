#include "mpi/session.hpp"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <exception>

#include "core/base/log.hpp"
#include "mpi/launcher.hpp"
#include "mpi/state.hpp"
#include "mpi/wait.hpp"

namespace diffuse::mpi {

Session::Session() : exceptions_at_start_(std::uncaught_exceptions()) {
  int provided = MPI_THREAD_SINGLE;
  const int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
  if (code != MPI_SUCCESS) {
    throw MpiError("MPI_Init_thread failed with code " + std::to_string(code) +
                       ": the ranks cannot find each other; start the program with the mpirun of " +
                       library_version(),
                   ExitCode::launcher);
  }
  check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  int size = 1;
  check(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");

  // From here on a throw would skip the destructor; a single rank can end MPI without waiting for
  // anybody.
  if (const auto mismatch = launcher_mismatch(size, library_version())) {
    MPI_Finalize();
    throw MpiError(*mismatch, ExitCode::launcher);
  }
  if (provided < MPI_THREAD_SERIALIZED) {
    throw MpiError(library_version() +
                       " was built without thread support, which the progress messages need; "
                       "use one with MPI_THREAD_SERIALIZED",
                   ExitCode::launcher);
  }
  world_ = make_communicator(MPI_COMM_WORLD);
}

Session::~Session() {
  if (std::uncaught_exceptions() > exceptions_at_start_) return;
  try {
    // MPI_Finalize spins until the last rank is there.
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Ibarrier(MPI_COMM_WORLD, &request), "MPI_Ibarrier");
    wait(request, "MPI_Ibarrier");
    check(MPI_Finalize(), "MPI_Finalize");
  } catch (const std::exception& error) {
    log()->error("{}", error.what());
  }
}

std::string library_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) return "the MPI library";
  std::string version(text.data(), static_cast<std::size_t>(length));
  version.resize(std::min(version.find_first_of(",\n"), version.size()));
  // MPICH has a tab between its name and its number.
  std::replace(version.begin(), version.end(), '\t', ' ');
  return version;
}

}  // namespace diffuse::mpi
