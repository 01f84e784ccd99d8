#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <vector>

#include "apps/diffuse_batch/run_summary.hpp"

namespace diffuse {
namespace {

constexpr std::int64_t kHeld = std::int64_t{400} << 20;

}  // namespace

TEST_CASE("a process that another one started", "[.started]") {
  CHECK(peak_memory() > 0);
  CHECK(peak_memory() < kHeld / 2);
}

TEST_CASE("peak memory counts what was held, and nothing of the process that started this one") {
  {
    const std::vector<char> held(static_cast<std::size_t>(kHeld), 'x');
    REQUIRE(held.back() == 'x');
  }
  CHECK(peak_memory() >= kHeld);

  std::array<const char*, 3> arguments{"test", "[.started]", nullptr};
  pid_t child = 0;
  REQUIRE(::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr,
                        const_cast<char**>(arguments.data()), environ) == 0);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

}  // namespace diffuse
