#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>

#include "apps/diffuse_batch/options.hpp"
#include "apps/diffuse_batch/run_batch.hpp"
#include "apps/diffuse_batch/stop.hpp"
#include "core/base/mapped_file.hpp"
#include "core/base/threads.hpp"
#include "mpi/launcher.hpp"

int main(int argc, char** argv) {
  diffuse::hold_stop_signals();
  // A reader that went away and a limit on file sizes are errors of a write, not deaths.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    const diffuse::ParsedOptions parsed = diffuse::parse_options(argc, argv);
    if (!parsed.output.empty()) {
      // Asked of N ranks, answered once; no device and no MPI are needed.
      if (diffuse::mpi::launched_rank() == 0) std::cout << parsed.output << std::flush;
      return 0;
    }
    diffuse::exit_on_bus_error();
    diffuse::restart_with_threads(parsed.options.threads, argv);
    diffuse::take_stop_signals();
    return static_cast<int>(diffuse::run(parsed));
  } catch (const diffuse::Error& error) {
    // Ranks that do not know each other have all come here: one message is enough.
    const bool alone = error.code() == diffuse::ExitCode::launcher;
    if (alone && diffuse::mpi::launched_rank() != 0) return static_cast<int>(error.code());
    std::fprintf(stderr, "diffuse-batch: error[%d]: %s\n", static_cast<int>(error.code()),
                 error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "diffuse-batch: error[70]: %s (this is a bug: please report it)\n",
                 error.what());
    return static_cast<int>(diffuse::ExitCode::bug);
  }
}
