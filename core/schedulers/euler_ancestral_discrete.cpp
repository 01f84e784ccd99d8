#include <cmath>

#include "core/schedulers/noise_table.hpp"
#include "core/schedulers/sigma_table.hpp"
#include "core/schedulers/solvers.hpp"

// Euler's method over sigma to a point below the next sigma, then noise up to it, so that the
// variance is right. k-diffusion's `sample_euler_ancestral` (Crowson);
// diffusers `scheduling_euler_ancestral_discrete.py`.

namespace diffuse {

Schedule make_euler_ancestral_discrete(const SchedulerConfig& config, int num_inference_steps) {
  const std::vector<float> training = training_sigmas(make_alphas_cumprod(config));
  const SigmaTable table = make_sigma_table(config, training, num_inference_steps);
  std::vector<float> sigmas(table.sigmas.begin(), table.sigmas.end());
  sigmas.push_back(0.0F);

  Schedule schedule;
  schedule.timesteps = table.timesteps;
  schedule.init_noise_sigma = first_noise_sigma(config, sigmas);
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const float from = sigmas[i];
    const float to = sigmas[i + 1];
    // In float32, as diffusers has it: the difference of the squares loses digits where from >> to.
    const float up = std::sqrt(to * to * (from * from - to * to) / (from * from));
    const float down = std::sqrt(to * to - up * up);
    const double step = static_cast<double>(down - from);
    const SigmaDerivative derivative(config.prediction_type, from);
    StepRow row;
    row.next_sample = static_cast<float>(1 + step * derivative.of_sample);
    row.next_noise_pred = static_cast<float>(step * derivative.of_noise_pred);
    row.next_noise = up;
    row.draws_noise = true;  // also in the last step, where it is not used
    schedule.rows.push_back(row);
    schedule.input_scale.push_back(sigma_input_scale(from));
  }
  return schedule;
}

}  // namespace diffuse
