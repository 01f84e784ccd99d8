#pragma once

#include <chrono>

namespace diffuse {

/// Seconds of root's wall clock, by stage of a run.
struct RunTimes {
  double reading = 0;     ///< the list
  double inspecting = 0;  ///< what the output folder holds of it
  double splitting = 0;   ///< jobs of the list, shares of the ranks, packing
  double scattering = 0;  ///< to the ranks, and unpacking there
  double loading = 0;     ///< the model
  double rendering = 0;   ///< of all ranks, with manifest records
  double gathering = 0;   ///< the final proof that nothing is missing
  double merging = 0;     ///< the ranks' records into one manifest
};

/// Adds the time of its life to a stage.
class Timed {
 public:
  explicit Timed(double& stage) : stage_(stage) {}
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;
  ~Timed() {
    stage_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  double& stage_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace diffuse
