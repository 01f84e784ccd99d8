#include "kernels/plans/plan_choice.hpp"

#include <cmath>
#include <vector>

namespace diffuse {
namespace {

constexpr int kRounds = 3;
constexpr double kClearly = 0.98;

}  // namespace

std::optional<std::size_t> fastest(std::size_t candidates, CandidateTimer& timer) {
  std::vector<double> best(candidates, INFINITY);
  std::vector<bool> runs(candidates);
  for (std::size_t i = 0; i < candidates; ++i) runs[i] = std::isfinite(timer.seconds(i));
  // By turns, so that a change of the clock meets all of them.
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < candidates; ++i) {
      if (!runs[i]) continue;
      const double seconds = timer.seconds(i);
      if (seconds < best[i]) best[i] = seconds;
    }
  }
  std::optional<std::size_t> chosen;
  for (std::size_t i = 0; i < candidates; ++i) {
    if (!std::isfinite(best[i])) continue;
    if (!chosen || best[i] < kClearly * best[*chosen]) chosen = i;
  }
  return chosen;
}

}  // namespace diffuse
