#pragma once

#include "mpi/communicator.hpp"

namespace diffuse::test {

/// All ranks of the test.
const mpi::Communicator& world();

}  // namespace diffuse::test
