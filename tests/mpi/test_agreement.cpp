#include <catch2/catch.hpp>
#include <vector>

#include "tests/mpi/mpi_main.hpp"

using namespace diffuse;
using diffuse::test::world;

TEST_CASE("codes are ordered as the exit codes are documented") {
  const std::vector<int> order = {0, 3, 75, 20, 21, 70, 15, 14, 13, 12, 11, 10, 2};
  for (std::size_t i = 0; i < order.size(); ++i) {
    CHECK(mpi::severity_of(static_cast<ExitCode>(order[i])) == static_cast<int>(i));
    CHECK(mpi::code_with_severity(static_cast<int>(i)) == static_cast<ExitCode>(order[i]));
  }
  CHECK(mpi::severity_of(static_cast<ExitCode>(99)) == mpi::severity_of(ExitCode::bug));
}

TEST_CASE("all are well only if each one is") {
  const auto& comm = world();
  CHECK(comm.all_of(true));
  CHECK_FALSE(comm.all_of(false));
  for (int sick = 0; sick < comm.size(); ++sick) CHECK_FALSE(comm.all_of(comm.rank() != sick));
}

TEST_CASE("agreement without failures says nothing") {
  const auto agreement = world().agree(ExitCode::ok, "");
  CHECK(agreement.ok());
  CHECK(agreement.failures.empty());
  CHECK(agreement.line().empty());
}

TEST_CASE("one failure is known everywhere, and its message on rank 0") {
  const auto& comm = world();
  for (int sick = 0; sick < comm.size(); ++sick) {
    const bool mine = comm.rank() == sick;
    const auto agreement = comm.agree(mine ? ExitCode::bad_model : ExitCode::ok,
                                      mine ? "unet/x.safetensors: cut off" : "");
    CHECK(agreement.code == ExitCode::bad_model);
    CHECK(agreement.rank == sick);
    REQUIRE(agreement.failures.size() == (comm.is_root() ? 1 : 0));
    if (!comm.is_root()) continue;
    CHECK(agreement.line() ==
          "unet/x.safetensors: cut off (rank " + std::to_string(sick) + ", " + comm.host() + ")");
  }
}

TEST_CASE("the most severe code wins, on the lowest rank that has it") {
  const auto& comm = world();
  const int last = comm.size() - 1;
  // The last rank reports 21, all others 3, or 0 on rank 0.
  ExitCode mine = comm.rank() == 0 ? ExitCode::ok : ExitCode::some_failed;
  if (comm.rank() == last) mine = ExitCode::device_lost;
  const auto worst = comm.agree(mine, "two\nlines of rank " + std::to_string(comm.rank()));
  CHECK(worst.code == ExitCode::device_lost);
  CHECK(worst.rank == last);
  if (comm.is_root()) {
    REQUIRE(worst.failures.size() == static_cast<std::size_t>(last == 0 ? 1 : last));
    CHECK(worst.failures.back().code == ExitCode::device_lost);
    CHECK(worst.failures.back().message == "two\nlines of rank " + std::to_string(last));
  }

  const auto everywhere = comm.agree(ExitCode::no_device, "no device");
  CHECK(everywhere.rank == 0);
  if (comm.size() > 1 && comm.is_root()) {
    CHECK(everywhere.line() ==
          "no device (rank 0, " + comm.host() + ", and " + std::to_string(last) + " more)");
  }
}

TEST_CASE("a code that is in no list is a bug") {
  CHECK(world().agree(static_cast<ExitCode>(99), "?").code == ExitCode::bug);
}
