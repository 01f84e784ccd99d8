#pragma once

#include <cmath>
#include <vector>

#include "core/base/rng.hpp"
#include "core/schedulers/scheduler.hpp"
#include "tests/reference/step_row.hpp"

namespace diffuse::test {

/// A state whose buffers are undefined (NaN), as on a device, so that reading what was never
/// written shows.
template <class T>
reference::StepState<T> undefined_state(std::vector<T> sample) {
  const std::vector<T> undefined(sample.size(), static_cast<T>(NAN));
  reference::StepState<T> state{std::move(sample), undefined, {}};
  state.history.fill(undefined);
  return state;
}

/// One step of the loop of a pipeline without a UNet: applies row `i` in the arithmetic of T, with
/// noise from `generator` where the row draws.
template <class T>
void step(const Schedule& schedule, std::size_t i, const std::vector<T>& noise_pred,
          NoiseGenerator& generator, reference::StepState<T>& state) {
  std::vector<T> noise;
  if (schedule.rows[i].draws_noise) {
    const std::vector<float> drawn = generator.normals(noise_pred.size());
    noise.assign(drawn.begin(), drawn.end());
  }
  reference::apply_step_row<T>(schedule.rows[i], noise_pred, noise, state);
}

}  // namespace diffuse::test
