// Pictures whose decoding goes on while the next batch is denoised: the stand-in brings them about
// after some looks, or when it is waited for them.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <climits>
#include <new>
#include <sstream>

#include "apps/diffuse_batch/stop.hpp"
#include "core/base/error.hpp"
#include "tests/unit/apps/rank_run.hpp"

using namespace diffuse;
using diffuse::test::Run;

namespace {

constexpr auto kNotBeforeWaitedFor = [](std::int64_t) { return INT_MAX; };

std::string joined(const std::vector<std::string>& events) {
  std::string all;
  for (const std::string& event : events) all += (all.empty() ? "" : ", ") + event;
  return all;
}

/// A request to stop holds for the whole process, so `body` runs in one of its own. Gives the exit
/// code, then the pictures that are done, then a slash and those that have failed.
template <class Body>
std::string in_child(const Body& body) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    Run run(2);
    body(run);
    std::ostringstream text;
    text << static_cast<int>(run.code) << ":";
    for (const auto status : {RenderStatus::done, RenderStatus::failed}) {
      for (const auto& [index, result] : run.results) {
        const bool file = std::filesystem::exists(result.path);
        const bool wrong = file != (result.status == RenderStatus::done) || run.told[index] != 1;
        if (result.status == status) text << " " << index << (wrong ? "?" : "");
      }
      if (status == RenderStatus::done) text << " /";
    }
    const std::string out = text.str();
    const bool written = ::write(ends[1], out.data(), out.size()) >= 0;
    std::filesystem::remove_all(run.folder.path());
    ::_exit(written ? 0 : 1);
  }
  ::close(ends[1]);
  std::string out(4096, '\0');
  const ssize_t count = ::read(ends[0], out.data(), out.size());
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  return out.substr(0, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
}

}  // namespace

TEST_CASE("one picture at a time is decoded while the next batch is denoised") {
  Run run(2);
  run.maker.steps = 3;
  run.maker.looks_in_vain = [](std::int64_t) { return 2; };
  run.render(4);
  CHECK(run.code == ExitCode::ok);
  run.check({0, 1, 2, 3}, {});
  CHECK(joined(run.maker.events) ==
        "denoise 2, step, step, step, begin 0, "
        "denoise 2, take 0, begin 1, step, step, take 1, step, begin 2, "
        "begin 3, take 2, take 3");
}

TEST_CASE("not more than a batch of pictures waits to be decoded, however late they come") {
  Run run(3);
  run.maker.steps = 2;
  run.maker.looks_in_vain = kNotBeforeWaitedFor;
  run.render(11);
  CHECK(run.code == ExitCode::ok);
  run.check({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {});
  std::ptrdiff_t denoised = 0, taken = 0, under_way = 0;
  for (const std::string& event : run.maker.events) {
    if (event.rfind("denoise ", 0) == 0) {
      CHECK(denoised - taken <= 3);
      CHECK(under_way <= 1);
      denoised += std::stoi(event.substr(8));
    }
    if (event.rfind("take ", 0) == 0) {
      CHECK(event == "take " + std::to_string(taken));
      ++taken;
    }
    under_way += event.rfind("begin ", 0) == 0 ? 1 : event.rfind("take ", 0) == 0 ? -1 : 0;
  }
}

TEST_CASE("a picture that fails after the next batch was begun fails alone, and is tried again") {
  const int looks = GENERATE(0, 1, 3, INT_MAX);
  const int retries = GENERATE(0, 1);
  Run run(2, retries);
  run.maker.steps = 2;
  run.maker.looks_in_vain = [&](std::int64_t) { return looks; };
  int first = 0;
  SECTION("for want of the host's memory") {
    run.maker.before_take = [&](std::int64_t index) {
      if (index == 1 && first++ == 0) throw std::bad_alloc();
    };
  }
  SECTION("for want of the device's memory") {
    run.maker.before_take = [&](std::int64_t index) {
      if (index == 1 && first++ == 0) throw DeviceError("no memory left on the GPU");
    };
  }
  SECTION("before it was begun") {
    run.maker.before_decode = [&](std::int64_t index) {
      if (index == 1 && first++ == 0) throw std::bad_alloc();
    };
  }
  SECTION("being of one colour") {
    run.maker.is_one_colour = [&](std::int64_t index) { return index == 1 && first == 0; };
    run.maker.spoils = [&](std::int64_t index, int attempt) {
      first = index == 1 ? attempt - 1 : first;
      return false;
    };
  }
  run.render(6);
  CHECK(run.code == (retries == 0 ? ExitCode::some_failed : ExitCode::ok));
  if (retries == 0) {
    run.check({0, 2, 3, 4, 5}, {1});
  } else {
    run.check({0, 1, 2, 3, 4, 5}, {});
    CHECK(run.maker.attempts[1] == 2);
  }
}

TEST_CASE("a picture that comes late counts as rendered before a later one that does not fit") {
  Run run(1);
  run.maker.looks_in_vain = [](std::int64_t) { return 2; };
  run.maker.spoils = [](std::int64_t index, int) {
    if (index >= 2) throw std::bad_alloc();
    return false;
  };
  run.render(8);
  CHECK(run.code == ExitCode::no_device);
  run.check({0, 1}, {2, 3, 4});
}

TEST_CASE("three decodings in a row that do not fit end the rank's work") {
  Run run(2);
  run.maker.looks_in_vain = [](std::int64_t) { return 1; };
  run.maker.before_take = [](std::int64_t index) {
    if (index >= 1 && index <= 3) throw DeviceError("no memory left on the GPU");
  };
  run.render(8);
  CHECK(run.code == ExitCode::no_device);
  CHECK(run.problem == "no memory left on the GPU");
  run.check({0, 4, 5}, {1, 2, 3});  // the batch in hand was denoised by then; 6 and 7 stay open
}

TEST_CASE("a device that is lost while pictures are decoded leaves them open") {
  Run run(2, 3);
  run.maker.steps = 2;
  run.maker.looks_in_vain = [](std::int64_t) { return 3; };
  bool lost = false;
  const auto fall_off = [&](std::int64_t index) {
    lost = lost || index == 3;
    if (lost) throw DeviceError("it fell off the bus", ExitCode::device_lost);
  };
  run.maker.before_take = fall_off;
  SECTION("when they are taken") {}
  SECTION("when they are begun") { run.maker.before_decode = fall_off; }
  run.render(8);
  CHECK(run.code == ExitCode::device_lost);
  CHECK(run.problem == "it fell off the bus");
  // A picture may be lost with the one that was begun while it was waited for.
  CHECK(run.results.size() <= 3);
  run.results.erase(2);
  run.check({0, 1}, {});
}

TEST_CASE("pads are decoded late too, and leave nothing") {
  Run run(2);
  run.maker.looks_in_vain = kNotBeforeWaitedFor;
  run.render(5, 2);
  CHECK(run.code == ExitCode::ok);
  run.check({0, 1, 2}, {});
  CHECK(std::count(run.maker.events.begin(), run.maker.events.end(), "take 4") == 1);
  CHECK_FALSE(std::filesystem::exists(run.folder.path() / "4.png"));
}

TEST_CASE(
    "a stop after the batch waits for pictures that are not decoded, one at once drops them") {
  CHECK(in_child([](Run& run) {
          run.maker.looks_in_vain = kNotBeforeWaitedFor;
          run.maker.before_denoise = [](auto batch) {
            if (batch.front().index == 2) request_stop(Stop::after_batch);
          };
          run.render(8);
        }) == "75: 0 1 2 3 /");
  CHECK(in_child([](Run& run) {
          run.maker.looks_in_vain = kNotBeforeWaitedFor;
          run.maker.before_denoise = [](auto batch) {
            if (batch.front().index == 4) request_stop(Stop::at_once);
          };
          run.render(8);
        }) == "75: 0 1 /");
  // While the last ones are waited for.
  CHECK(in_child([](Run& run) {
          run.settings.batch_size = 4;
          run.maker.looks_in_vain = kNotBeforeWaitedFor;
          run.maker.before_take = [](std::int64_t) { request_stop(Stop::at_once); };
          run.render(4);
        }) == "75: 0 /");
  // While the last of all is tried again.
  CHECK(in_child([](Run& run) {
          run.settings.options.retries = 1;
          run.maker.before_take = [](std::int64_t index) {
            if (index == 1) throw std::bad_alloc();
          };
          run.maker.looks_in_vain = [&run](std::int64_t index) {
            if (run.maker.attempts[index] == 2) request_stop(Stop::at_once);
            return INT_MAX;
          };
          run.render(2);
        }) == "75: 0 /");
}

TEST_CASE("with --on-error stop a picture that fails late ends the run after the batch in hand") {
  CHECK(in_child([](Run& run) {
          run.settings.options.on_error = "stop";
          run.maker.steps = 2;
          run.maker.looks_in_vain = [](std::int64_t) { return 2; };
          run.maker.is_one_colour = [](std::int64_t index) { return index == 1; };
          run.render(8);
        }) == "3: 0 2 3 / 1");
}
