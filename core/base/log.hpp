#pragma once

#include <spdlog/logger.h>

#include <functional>
#include <memory>
#include <string>

namespace diffuse {

/// Sends what log() is given to standard error, as lines of the logger "rank 2/8". Standard output
/// stays free for paths. Rank 0 says what `level` asks for (trace, debug, info, warn, error, off),
/// the other ranks only warnings and errors, unless debug or trace is asked for; `quiet` leaves
/// warnings and errors on all. `file`, if not empty, gets everything of `level` without that
/// thinning, each rank to its own: "{rank}" in it stands for the rank; without it, rank r > 0
/// writes to `file`.r. An existing file is continued. Throws ConfigError for an unknown level or a
/// file that cannot be written.
void set_up_log(const std::string& level, bool quiet, int rank, int size, const std::string& file);

/// Calls `hook` before each line that goes to standard error, from the thread that logs it; it must
/// not log. An empty one ends that. For what else is on the terminal: a progress bar goes away
/// before a line is written, since the line would begin behind it.
void set_before_log(std::function<void()> hook);

/// The logger of this process; before set_up_log() one to standard error at info.
std::shared_ptr<spdlog::logger> log();

}  // namespace diffuse
