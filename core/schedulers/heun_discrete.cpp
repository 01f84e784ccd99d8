#include <cmath>

#include "core/schedulers/noise_table.hpp"
#include "core/schedulers/sigma_table.hpp"
#include "core/schedulers/solvers.hpp"

// Heun's method over sigma: an Euler step, a second call there, and the step again with the mean of
// both derivatives; the last step is plain Euler. Karras et al. 2022, arXiv:2206.00364, Algorithm
// 2; diffusers `scheduling_heun_discrete.py`.

namespace diffuse {
namespace {

/// m and the factors by which (sample, m) make the derivative. Usually m is the derivative; with
/// clipping it is the clipped original sample.
struct Derivative {
  double of_sample = 0;
  double of_output = 1;
};

Derivative set_output(StepRow& row, const SchedulerConfig& config, float at_sigma) {
  if (!config.clip_sample) {
    const SigmaDerivative derivative(config.prediction_type, at_sigma);
    row.to_output_sample = static_cast<float>(derivative.of_sample);
    row.to_output_noise_pred = static_cast<float>(derivative.of_noise_pred);
    return {};
  }
  const auto sigma = static_cast<double>(at_sigma);
  const double variance = sigma * sigma + 1;
  switch (config.prediction_type) {
    case PredictionType::epsilon:
      row.to_output_sample = 1;
      row.to_output_noise_pred = static_cast<float>(-sigma);
      break;
    case PredictionType::v_prediction:
      row.to_output_sample = static_cast<float>(1 / variance);
      row.to_output_noise_pred = static_cast<float>(-sigma / std::sqrt(variance));
      break;
    case PredictionType::sample:
      row.to_output_noise_pred = 1;
      break;
  }
  set_output_bounds(row, config);
  return {.of_sample = 1 / sigma, .of_output = -1 / sigma};
}

}  // namespace

Schedule make_heun_discrete(const SchedulerConfig& config, int num_inference_steps) {
  const std::vector<float> training = training_sigmas(make_alphas_cumprod(config));
  const SigmaTable table = make_sigma_table(config, training, num_inference_steps);
  std::vector<float> sigmas(table.sigmas.begin(), table.sigmas.end());
  sigmas.push_back(0.0F);

  Schedule schedule;
  schedule.init_noise_sigma = first_noise_sigma(config, sigmas);
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const bool last = i + 2 == sigmas.size();
    const double step = static_cast<double>(sigmas[i + 1] - sigmas[i]);
    StepRow row;
    const Derivative first = set_output(row, config, sigmas[i]);
    row.next_sample = static_cast<float>(1 + step * first.of_sample);
    row.next_output = static_cast<float>(step * first.of_output);
    if (!last) {  // half of the step from here, for the second call
      row.saved_sample = static_cast<float>(1 + step / 2 * first.of_sample);
      row.saved_output = static_cast<float>(step / 2 * first.of_output);
    }
    schedule.rows.push_back(row);
    schedule.timesteps.push_back(table.timesteps[i]);
    schedule.input_scale.push_back(sigma_input_scale(sigmas[i]));
    if (last) break;

    row = StepRow{};
    const Derivative second = set_output(row, config, sigmas[i + 1]);
    row.saved_saved = 1;
    row.next_saved = 1;
    row.next_sample = static_cast<float>(step / 2 * second.of_sample);
    row.next_output = static_cast<float>(step / 2 * second.of_output);
    schedule.rows.push_back(row);
    schedule.timesteps.push_back(table.timesteps[i + 1]);
    schedule.input_scale.push_back(sigma_input_scale(sigmas[i + 1]));
  }
  return schedule;
}

}  // namespace diffuse
