#pragma once

#include "core/base/error.hpp"

namespace diffuse {

/// How far the request goes to end a run early; a later request can only go further.
enum class Stop : int {
  no,
  failure,      ///< work cannot or should not go on: finish the batch; some rank's code says why
  after_batch,  ///< SIGUSR1, as SLURM warns of a time limit: finish the batch
  at_once,      ///< SIGTERM, SIGINT, SIGHUP: drop the batch between two ops
};

/// What drops a batch from deep inside.
class StoppedError : public Error {
 public:
  StoppedError();
};

/// Holds the signals above back; signals that come are kept, over an execv() too. The first thing
/// in main().
void hold_stop_signals();

/// Takes them from here on. Until stop_in_order(), SIGTERM, SIGINT and SIGHUP end the process at
/// once with code 75. SIGINT and SIGHUP stay ignored where they were (background jobs, nohup).
void take_stop_signals();

/// From here on there is something to leave in order: signals only note the request. A second
/// SIGTERM, SIGINT or SIGHUP still ends the process at once, unless it follows within 0.2 s:
/// launchers send theirs twice.
void stop_in_order();

/// The request of this process: by a signal, or by request_stop(). Any thread.
Stop stop_requested();

/// Another rank asked for it, or this one found a reason.
void request_stop(Stop stop);

/// Throws StoppedError if the batch in hand is to be dropped.
void throw_if_stopped();

}  // namespace diffuse
