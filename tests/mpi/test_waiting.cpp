#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "tests/mpi/mpi_main.hpp"

using diffuse::test::world;

namespace {

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

TEST_CASE("a rank that waits leaves its core alone") {
  const auto& comm = world();
  comm.barrier();
  const double before = cpu_seconds();
  // The last rank is late. What is measured is CPU time, so a busy machine changes nothing.
  if (comm.rank() == comm.size() - 1) std::this_thread::sleep_for(std::chrono::seconds(1));
  comm.barrier();
  CHECK(cpu_seconds() - before < 0.3);
}

TEST_CASE("who is through can work until the others are") {
  const auto& comm = world();
  constexpr int kTag = 9;
  const bool late = comm.rank() == comm.size() - 1;
  for (int round = 0; round < 3; ++round) {
    int received = 0;
    // The last rank comes only after rank 0 has been through, and has answered from inside.
    if (late && comm.size() > 1) {
      comm.post(0, kTag, "still here");
      while (!comm.poll(kTag)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const auto answer = [&] {
      if (comm.is_root() && comm.poll(kTag)) {
        ++received;
        comm.post(comm.size() - 1, kTag, "seen");
      }
    };
    while (!comm.all_through(answer)) {
    }
    CHECK(received == (comm.is_root() && comm.size() > 1 ? 1 : 0));
    CHECK(comm.finish_posts(kTag).empty());
  }
}
