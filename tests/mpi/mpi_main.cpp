#define CATCH_CONFIG_RUNNER
#include "tests/mpi/mpi_main.hpp"

#include <catch2/catch.hpp>
#include <exception>
#include <iostream>

#include "mpi/session.hpp"

namespace {
const diffuse::mpi::Communicator* world_of_tests = nullptr;
}

const diffuse::mpi::Communicator& diffuse::test::world() { return *world_of_tests; }

/// Every rank runs all cases, in the same order. A rank that fails a REQUIRE goes on with the next
/// case while the others wait for it in this one: the time limit ends such a run, with the message
/// already printed.
int main(int argc, char** argv) {
  try {
    const diffuse::mpi::Session session;
    world_of_tests = &session.world();
    const int failed = Catch::Session().run(argc, argv);
    return session.world().all_of(failed == 0) ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
