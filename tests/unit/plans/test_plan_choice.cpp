#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <vector>

#include "kernels/plans/plan_choice.hpp"

namespace diffuse::test {
namespace {

// Each candidate's times in turn, the last of them from then on.
class FakeTimer final : public CandidateTimer {
 public:
  explicit FakeTimer(std::vector<std::vector<double>> times) : times_(std::move(times)) {}
  double seconds(std::size_t candidate) override {
    const auto run = static_cast<std::size_t>(runs[candidate]++);
    const std::vector<double>& times = times_.at(candidate);
    return times[std::min(run, times.size() - 1)];
  }
  std::map<std::size_t, int> runs;

 private:
  std::vector<std::vector<double>> times_;
};

std::optional<std::size_t> choose(std::vector<std::vector<double>> times) {
  const std::size_t count = times.size();
  FakeTimer timer(std::move(times));
  return fastest(count, timer);
}

}  // namespace

TEST_CASE("the fastest candidate is the one whose best time is least") {
  CHECK(choose({{5}, {3}, {4}}) == 1U);
  // The first run, which loads the kernel, does not count; nor does a slow one among others.
  CHECK(choose({{1, 5, 5, 5}, {9, 9, 3, 9}}) == 1U);
}

TEST_CASE("nearly as fast is not faster: the library's order stands") {
  CHECK(choose({{1.0}, {0.99}}) == 0U);
  CHECK(choose({{1.0}, {0.97}}) == 1U);
  CHECK(choose({{1.0}, {0.97}, {0.96}}) == 1U);
}

TEST_CASE("what cannot run is not chosen, nor run again") {
  CHECK(choose({{INFINITY}, {7}}) == 1U);
  CHECK(choose({{NAN}, {7}}) == 1U);
  CHECK(choose({{1, INFINITY}, {7}}) == 1U);
  CHECK(choose({{INFINITY}, {INFINITY}}) == std::nullopt);
  CHECK(choose({}) == std::nullopt);
  FakeTimer timer({{INFINITY}, {7}});
  static_cast<void>(fastest(2, timer));
  CHECK(timer.runs[0] == 1);
  CHECK(timer.runs[1] == 4);
}

}  // namespace diffuse::test
