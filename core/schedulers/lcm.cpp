#include <cmath>

#include "core/schedulers/noise_table.hpp"
#include "core/schedulers/solvers.hpp"

// Multistep consistency sampling: predict the clean sample, add noise back to the next level.
// Luo et al. 2023, arXiv:2310.04378; diffusers `scheduling_lcm.py`.

namespace diffuse {
namespace {

/// Evenly chosen from the timesteps that the model was distilled at.
std::vector<long> lcm_timesteps(const SchedulerConfig& config, int num_inference_steps) {
  const int original = config.original_inference_steps;
  if (original > config.num_train_timesteps) {
    refuse_steps(config, num_inference_steps,
                 "original_inference_steps is more than " +
                     std::to_string(config.num_train_timesteps) +
                     ", the timesteps of its training");
  }
  if (num_inference_steps > original) {
    refuse_steps(
        config, num_inference_steps,
        "its original_inference_steps, the most it can run, are " + std::to_string(original));
  }
  const int stride = config.num_train_timesteps / original;
  std::vector<long> timesteps;
  for (int i = 0; i < num_inference_steps; ++i) {
    // numpy's linspace(0, original, num, endpoint=False), rounded down; counted from the noisy end.
    const double position = i * (static_cast<double>(original) / num_inference_steps);
    const int from_end = original - static_cast<int>(std::floor(position));
    timesteps.push_back(static_cast<long>(from_end) * stride - 1);
  }
  return timesteps;
}

}  // namespace

Schedule make_lcm(const SchedulerConfig& config, int num_inference_steps) {
  constexpr float kSigmaDataSquared = 0.25F;
  const std::vector<float> alphas_cumprod = make_alphas_cumprod(config);
  const std::vector<long> timesteps = lcm_timesteps(config, num_inference_steps);

  Schedule schedule;
  for (std::size_t i = 0; i < timesteps.size(); ++i) {
    const bool last = i + 1 == timesteps.size();
    const double alpha_prod = lookup(config, alphas_cumprod, timesteps[i], num_inference_steps);
    const double alpha_prod_prev =
        last ? 1.0 : lookup(config, alphas_cumprod, timesteps[i + 1], num_inference_steps);
    const auto scaled =
        static_cast<float>(static_cast<double>(timesteps[i]) * config.timestep_scaling);
    const float total = scaled * scaled + kSigmaDataSquared;
    const double skip = static_cast<double>(kSigmaDataSquared / total);
    const double out = static_cast<double>(scaled / std::sqrt(total));
    const double keep = std::sqrt(alpha_prod_prev);

    StepRow row;
    set_output_to_original(row, config.prediction_type, std::sqrt(alpha_prod),
                           std::sqrt(1 - alpha_prod));
    set_output_bounds(row, config);
    row.next_output = static_cast<float>(keep * out);
    row.next_sample = static_cast<float>(keep * skip);
    row.next_noise = static_cast<float>(std::sqrt(1 - alpha_prod_prev));
    row.draws_noise = !last;
    schedule.rows.push_back(row);
    schedule.timesteps.push_back(static_cast<double>(timesteps[i]));
  }
  schedule.input_scale.assign(schedule.rows.size(), 1.0F);
  return schedule;
}

}  // namespace diffuse
