#pragma once

namespace diffuse {

/// Columns of the terminal that shows standard error to a person (80 where it does not tell), 0
/// where none does. Under mpirun the ranks' own is a pipe, so the launcher's is looked at.
int stderr_columns();

}  // namespace diffuse
