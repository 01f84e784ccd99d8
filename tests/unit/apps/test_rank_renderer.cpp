// Jobs that fail, and memory that is too small.
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <new>

#include "tests/unit/apps/rank_run.hpp"

using namespace diffuse;
using diffuse::test::Run;
using diffuse::test::StandIn;

namespace {

using Sizes = std::vector<std::size_t>;

void only_fit(Run& run, std::size_t most, const std::function<void()>& refuse) {
  run.maker.before_denoise = [most, refuse](StandIn::Batch batch) {
    if (batch.size() > most) refuse();
  };
}

[[noreturn]] void throw_bad_alloc() { throw std::bad_alloc(); }

}  // namespace

TEST_CASE("a job that fails is tried again as often as asked for, without its neighbours") {
  const int retries = GENERATE(0, 1, 2, 5);
  CAPTURE(retries);
  Run run(2, retries);
  run.maker.spoils = [](std::int64_t index, int attempt) { return index == 1 && attempt <= 2; };
  run.render(5);
  const bool ok = retries >= 2;
  CHECK(run.code == (ok ? ExitCode::ok : ExitCode::some_failed));
  CHECK(run.problem.empty());
  if (ok) {
    run.check({0, 1, 2, 3, 4}, {});
  } else {
    run.check({0, 2, 3, 4}, {1});
    CHECK(run.results[1].error.find("not finite") != std::string::npos);
  }
  CHECK(run.maker.attempts ==
        std::map<std::int64_t, int>{{0, 1}, {1, std::min(retries, 2) + 1}, {2, 1}, {3, 1}, {4, 1}});
}

TEST_CASE("the last job of all is tried again too, and so is one that fails while it is decoded") {
  Run run(4, 1);
  run.maker.spoils = [](std::int64_t index, int attempt) { return index == 3 && attempt == 1; };
  bool once = true;
  run.maker.before_decode = [&](std::int64_t index) {
    if (index == 0 && std::exchange(once, false)) throw std::bad_alloc();
  };
  run.render(4);
  CHECK(run.code == ExitCode::ok);
  run.check({0, 1, 2, 3}, {});
}

TEST_CASE(
    "a file of the last batch that cannot be written is found out at the end, and tried again") {
  Run run(1, 1);
  const std::filesystem::path in_the_way = run.folder.path() / "2.png";
  std::filesystem::create_directory(in_the_way);
  int decoded = 0;
  run.maker.before_decode = [&](std::int64_t index) {
    if (index == 2 && ++decoded == 2) std::filesystem::remove(in_the_way);
  };
  run.render(3);
  CHECK(run.code == ExitCode::ok);
  CHECK(decoded == 2);
  run.check({0, 1, 2}, {});
}

TEST_CASE("where a batch does not fit into memory, it is halved until it does, and stays so") {
  Run run(8);
  SECTION("of the host") { only_fit(run, 2, throw_bad_alloc); }
  SECTION("of the device") {
    only_fit(run, 2, [] { throw DeviceError("no memory left on the GPU"); });
  }
  run.render(11);
  CHECK(run.code == ExitCode::ok);
  run.check({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {});
  CHECK(run.maker.batches == Sizes{8, 4, 2, 2, 2, 2, 2, 1});
}

TEST_CASE("an odd batch is halved upwards") {
  Run run(5);
  only_fit(run, 1, throw_bad_alloc);
  run.render(5);
  CHECK(run.code == ExitCode::ok);
  run.check({0, 1, 2, 3, 4}, {});
  CHECK(run.maker.batches == Sizes{5, 3, 2, 1, 1, 1, 1, 1});
}

TEST_CASE("a single picture that does not fit has failed, and the others go on") {
  Run run(2);
  run.maker.before_denoise = [](StandIn::Batch batch) {
    for (const RenderJob& job : batch) {
      if (job.index % 2 == 1) throw_bad_alloc();
    }
  };
  run.render(8);
  CHECK(run.code == ExitCode::some_failed);
  run.check({0, 2, 4, 6}, {1, 3, 5, 7});
  CHECK(run.results[1].error == "out of memory");
}

TEST_CASE("a picture whose decoding does not fit has failed, without its neighbours") {
  Run run(3);
  run.maker.before_decode = [](std::int64_t index) {
    if (index == 1) throw DeviceError("no memory left on the GPU");
  };
  run.render(3);
  CHECK(run.code == ExitCode::some_failed);
  run.check({0, 2}, {1});
  CHECK(run.results[1].error == "no memory left on the GPU");
}

TEST_CASE("three single pictures in a row that do not fit end the rank's work") {
  Run run(1);
  run.maker.before_denoise = [](StandIn::Batch batch) {
    if (batch.front().index >= 2) throw_bad_alloc();
  };
  run.render(8);
  CHECK(run.code == ExitCode::no_device);
  CHECK(run.problem == "out of memory");
  run.check({0, 1}, {2, 3, 4});  // the others stay open
}

TEST_CASE("a device that is lost ends the rank's work, and its jobs stay open") {
  Run run(2, 3);
  run.maker.before_denoise = [](StandIn::Batch batch) {
    if (batch.front().index == 4) throw DeviceError("it fell off the bus", ExitCode::device_lost);
  };
  run.render(8);
  CHECK(run.code == ExitCode::device_lost);
  CHECK(run.problem == "it fell off the bus");
  run.check({0, 1, 2, 3}, {});
}
