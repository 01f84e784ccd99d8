#pragma once

#include <string>
#include <vector>

#include "core/base/error.hpp"

namespace diffuse::mpi {

/// How one rank fared.
struct Verdict {
  int rank = 0;
  std::string host;
  ExitCode code = ExitCode::ok;
  std::string message;  ///< one line; empty if all is well
};

/// What the ranks agreed on.
struct Agreement {
  ExitCode code = ExitCode::ok;   ///< the most severe of all ranks, the same everywhere
  int rank = -1;                  ///< lowest rank that has this code, the same everywhere
  std::vector<Verdict> failures;  ///< on rank 0: all ranks that are not well, by rank

  [[nodiscard]] bool ok() const { return code == ExitCode::ok; }

  /// The one line to print, on rank 0: message, rank and host of the deciding rank, and how many
  /// others failed.
  [[nodiscard]] std::string line() const;
};

/// Order of exit codes for an agreement, higher wins: start-up codes (2 > 10 > 11 > ... > 15), then
/// 70 > 21 > 20 > 75 > 3 > 0. A code that is not in the list of ExitCode counts as 70.
int severity_of(ExitCode code);

/// The code of ExitCode's list with this severity.
ExitCode code_with_severity(int severity);

}  // namespace diffuse::mpi
