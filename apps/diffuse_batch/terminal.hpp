#pragma once

namespace diffuse {

/// Does a person see standard error? Under mpirun the ranks' own is a pipe, so the launcher's is
/// looked at.
bool stderr_is_terminal();

}  // namespace diffuse
