#include <catch2/catch.hpp>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "core/base/progress.hpp"

using namespace diffuse;

namespace {

/// A run whose clock is turned by hand, and what it wrote.
struct Told {
  double now = 1000;
  std::vector<std::string> texts;
  Progress::Clock clock() {
    return [this] { return now; };
  }
  Progress::Sink sink() {
    return [this](std::string_view text) { texts.emplace_back(text); };
  }
};

}  // namespace

TEST_CASE("durations") {
  CHECK(duration_text(0) == "0:00");
  CHECK(duration_text(7.4) == "0:07");
  CHECK(duration_text(59.6) == "1:00");
  CHECK(duration_text(754) == "12:34");
  CHECK(duration_text(3 * 3600 + 2 * 60 + 1) == "3:02:01");
  CHECK(duration_text(4 * 86400 + 3 * 3600 + 59) == "4d 03h");
  CHECK(duration_text(-5) == "0:00");
  CHECK(duration_text(std::numeric_limits<double>::quiet_NaN()) == "0:00");
  CHECK(duration_text(std::numeric_limits<double>::infinity()) == "999d 00h");
}

TEST_CASE("the progress line") {
  ProgressState state;
  state.total = 100;
  CHECK(progress_line(state, 80) == "0/100 pictures");
  state.steps = 50;
  state.step = 3;
  CHECK(progress_line(state, 80) == "0/100 pictures, step 3/50");
  state.kept = 10;
  state.done = 30;
  state.failed = 2;
  state.seconds = 60;
  // 0.5 a second of this run's own, so 60 pictures take two minutes.
  CHECK(progress_line(state, 80) == "40/100 pictures, 2 failed, 0.50/s, 2:00 left, step 3/50");
  state.seconds = 15;  // two a second: steps are too quick to be told
  CHECK(progress_line(state, 80) == "40/100 pictures, 2 failed, 2.00/s, 0:30 left");
  CHECK(progress_line(state, 40) == "40/100 pictures, 2 failed, 2.00/s");
  CHECK(progress_line(state, 5).empty());
  state.done = 90;
  CHECK(progress_line(state, 80) == "100/100 pictures, 2 failed, 6.00/s, in 0:15");
}

TEST_CASE("the bar fits its columns") {
  ProgressState state;
  state.total = 4;
  state.done = 2;
  state.seconds = 2;
  CHECK(progress_bar(state, 79) ==
        "[====================>                   ] 2/4 pictures, 1.00/s, 0:02 left");
  for (std::size_t columns = 0; columns < 200; ++columns) {
    CHECK(progress_bar(state, columns).size() <= columns);
  }
  state.done = 4;
  CHECK(progress_bar(state, 200).substr(0, 42) == "[" + std::string(40, '=') + "]");
  state.total = 0;
  CHECK(progress_bar(state, 80) == "4/0 pictures, 2.00/s, in 0:02");
}

TEST_CASE("lines come with the first picture, then in their interval, then at the end") {
  Told told;
  Progress progress({.mode = ProgressMode::lines, .total = 3}, told.clock(), told.sink());
  CHECK(told.texts.empty());
  told.now += 4;
  progress.step(1, 20);
  CHECK(told.texts.empty());
  progress.pictures(1, 0);
  REQUIRE(told.texts.size() == 1);
  CHECK(told.texts[0] == "1/3 pictures, 0.25/s, 0:08 left, step 1/20\n");
  told.now += 29;
  progress.step(2, 20);
  CHECK(told.texts.size() == 1);
  told.now += 1;
  progress.step(3, 20);
  CHECK(told.texts.size() == 2);
  progress.pictures(3, 1);
  progress.finish();
  progress.finish();
  progress.pictures(3, 1);
  REQUIRE(told.texts.size() == 3);
  CHECK(told.texts[2] == "3/3 pictures, 1 failed, 0.0882/s, in 0:34\n");
}

TEST_CASE("the last line of a log is not told twice") {
  Told told;
  Progress one({.mode = ProgressMode::lines, .total = 1}, told.clock(), told.sink());
  told.now += 2;
  one.pictures(1, 0);
  one.finish();
  REQUIRE(told.texts.size() == 1);
  CHECK(told.texts[0] == "1/1 pictures, 0.50/s, in 0:02\n");
  Progress none({.mode = ProgressMode::lines, .total = 5, .kept = 5}, told.clock(), told.sink());
  none.finish();
  REQUIRE(told.texts.size() == 2);
  CHECK(told.texts[1] == "5/5 pictures\n");
}

TEST_CASE("an interval of one's own, counts of the ranks, and a list without an end") {
  Told told;
  Progress progress({.mode = ProgressMode::lines, .total = -1, .interval = 2, .ranks = 3},
                    told.clock(), told.sink());
  told.now += 1;
  progress.finished_by(2);
  progress.pictures(1, 0);
  REQUIRE(told.texts.size() == 1);
  CHECK(told.texts[0] == "1 pictures, 1.00/s, ranks 0 0 1\n");
  progress.finished_by(0);
  told.now += 1.5;
  progress.pictures(2, 0);
  CHECK(told.texts.size() == 1);
  told.now += 0.5;
  progress.step(0, 0);
  REQUIRE(told.texts.size() == 2);
  CHECK(told.texts[1] == "2 pictures, 0.67/s, ranks 1 0 1\n");
}

TEST_CASE("a bar is written over itself, and wiped") {
  Told told;
  Progress progress({.mode = ProgressMode::bar, .total = 2, .columns = 30}, told.clock(),
                    told.sink());
  REQUIRE(told.texts.size() == 1);
  CHECK(told.texts[0] == "\r0/2 pictures");
  told.now += 2;
  progress.pictures(1, 0);
  CHECK(told.texts.back() == "\r1/2 pictures, 0.50/s");
  progress.pictures(2, 0);
  CHECK(told.texts.size() == 2);
  progress.wipe();
  CHECK(told.texts.back() == "\r" + std::string(20, ' ') + "\r");
  progress.wipe();
  CHECK(told.texts.size() == 3);
  told.now += 1;
  progress.finish();
  REQUIRE(told.texts.size() == 5);
  CHECK(told.texts[3] == "\r2/2 pictures, 0.67/s, in 0:03");
  CHECK(told.texts[4] == "\n");
}

TEST_CASE("a shorter bar leaves nothing of a longer one") {
  Told told;
  Progress progress({.mode = ProgressMode::bar, .total = 2, .columns = 80}, told.clock(),
                    told.sink());
  told.now += 1;
  progress.step(10, 50);
  const std::size_t longer = told.texts.back().size();
  told.now += 1;
  progress.step(0, 0);
  CHECK(told.texts.back().size() == longer);
}

TEST_CASE("no progress, no text; calls from many threads") {
  Told told;
  Progress silent({.mode = ProgressMode::none, .total = 2}, told.clock(), told.sink());
  silent.pictures(1, 0);
  silent.finish();
  CHECK(told.texts.empty());
  Progress progress({.mode = ProgressMode::bar, .total = 400}, told.clock(), told.sink());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&progress, t] {
      for (int i = 0; i < 100; ++i) {
        progress.pictures(i, 0);
        progress.step(i, t + 100);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  progress.finish();
  CHECK(told.texts.back() == "\n");
}
