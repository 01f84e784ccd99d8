#include <cmath>

#include "core/schedulers/noise_table.hpp"
#include "core/schedulers/sigma_table.hpp"
#include "core/schedulers/solvers.hpp"

// Euler's method over sigma: Algorithm 2 of Karras et al. 2022, arXiv:2206.00364, without churn;
// diffusers `scheduling_euler_discrete.py`.

namespace diffuse {
namespace {

/// exp of `num` even steps between the logarithms of the largest and the smallest sigma: torch's
/// linspace in float32.
std::vector<double> log_spaced(const std::vector<float>& training, int num) {
  std::vector<double> sigmas = linspace(std::log(training.back()), std::log(training.front()), num);
  for (double& sigma : sigmas) sigma = static_cast<double>(std::exp(static_cast<float>(sigma)));
  return sigmas;
}

}  // namespace

Schedule make_euler_discrete(const SchedulerConfig& config, int num_inference_steps) {
  const std::vector<float> training = training_sigmas(make_alphas_cumprod(config));
  SigmaTable table = make_sigma_table(config, training, num_inference_steps);
  if (config.interpolate_log) {
    table.timesteps = spaced_timesteps(config, num_inference_steps, false);
    table.sigmas = log_spaced(training, num_inference_steps + 1);
    respace_sigmas(config, training, num_inference_steps, table);
  }
  std::vector<float> sigmas(table.sigmas.begin(), table.sigmas.end());
  sigmas.push_back(config.final_sigma_zero ? 0.0F : training.front());
  const bool continuous =
      config.continuous_timestep && config.prediction_type == PredictionType::v_prediction;

  Schedule schedule;
  schedule.init_noise_sigma = first_noise_sigma(config, sigmas);
  for (std::size_t i = 0; i < table.timesteps.size(); ++i) {
    const float timestep =
        continuous ? 0.25F * std::log(sigmas[i]) : static_cast<float>(table.timesteps[i]);
    const double step = static_cast<double>(sigmas[i + 1] - sigmas[i]);
    const SigmaDerivative derivative(config.prediction_type, sigmas[i]);
    StepRow row;
    row.next_sample = static_cast<float>(1 + step * derivative.of_sample);
    row.next_noise_pred = static_cast<float>(step * derivative.of_noise_pred);
    schedule.rows.push_back(row);
    schedule.timesteps.push_back(static_cast<double>(timestep));
    schedule.input_scale.push_back(sigma_input_scale(sigmas[i]));
  }
  return schedule;
}

}  // namespace diffuse
