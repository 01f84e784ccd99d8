#pragma once

#include <cstddef>
#include <optional>

namespace diffuse {

/// How kernels are chosen where no table names one.
enum class PlanRule : unsigned char {
  strict,  ///< for the canonical batch, the first that a library proposes whose sums do not depend
           ///< on the batch: the same everywhere, every time
  fast,    ///< for the batch at hand, the fastest of the first few by the clock: bytes of a picture
           ///< then depend on its batch and on chance
};

/// Runs candidates. `seconds` of one run of a candidate, infinite where it cannot run.
class CandidateTimer {
 public:
  CandidateTimer() = default;
  CandidateTimer(const CandidateTimer&) = delete;
  CandidateTimer& operator=(const CandidateTimer&) = delete;
  virtual ~CandidateTimer() = default;
  virtual double seconds(std::size_t candidate) = 0;
};

/// The candidate whose best of three times is least, after one run of each that does not count;
/// of two within two per cent the earlier, which the library holds for better. None if none runs.
std::optional<std::size_t> fastest(std::size_t candidates, CandidateTimer& timer);

}  // namespace diffuse
