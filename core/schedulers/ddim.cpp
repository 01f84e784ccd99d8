#include <cmath>

#include "core/schedulers/noise_table.hpp"
#include "core/schedulers/solvers.hpp"

// Denoising diffusion implicit models. Song, Meng, Ermon 2021, arXiv:2010.02502;
// diffusers `scheduling_ddim.py`.

namespace diffuse {
namespace {

/// Adds `factor` * predicted epsilon to the row's result. The epsilon comes from the model's own
/// output, not from the clipped m.
void add_epsilon(StepRow& row, PredictionType type, double factor, double alpha, double sigma) {
  switch (type) {
    case PredictionType::epsilon:
      row.next_noise_pred = static_cast<float>(factor);
      return;
    case PredictionType::v_prediction:
      row.next_noise_pred = static_cast<float>(factor * alpha);
      row.next_sample = static_cast<float>(factor * sigma);
      return;
    case PredictionType::sample:
      row.next_noise_pred = static_cast<float>(-factor * alpha / sigma);
      row.next_sample = static_cast<float>(factor / sigma);
      return;
  }
}

}  // namespace

Schedule make_ddim(const SchedulerConfig& config, int num_inference_steps, double eta) {
  if (num_inference_steps > config.num_train_timesteps) {
    refuse_steps(config, num_inference_steps, "it has only as many steps as it was trained with");
  }
  const std::vector<float> alphas_cumprod = make_alphas_cumprod(config);
  const double final_alpha_cumprod =
      config.set_alpha_to_one ? 1.0 : static_cast<double>(alphas_cumprod.front());

  Schedule schedule;
  schedule.uses_eta = true;
  schedule.timesteps = spaced_timesteps(config, num_inference_steps, true);
  for (const double timestep : schedule.timesteps) {
    const auto t = static_cast<long>(timestep);
    const long previous = t - config.num_train_timesteps / num_inference_steps;
    const double alpha_prod_t = lookup(config, alphas_cumprod, t, num_inference_steps);
    const double alpha_prod_t_prev =
        previous >= 0 ? lookup(config, alphas_cumprod, previous, num_inference_steps)
                      : final_alpha_cumprod;
    const double alpha = std::sqrt(alpha_prod_t);
    const double sigma = std::sqrt(1 - alpha_prod_t);
    const double variance =
        (1 - alpha_prod_t_prev) / (1 - alpha_prod_t) * (1 - alpha_prod_t / alpha_prod_t_prev);
    const double std_dev = eta > 0 ? eta * std::sqrt(variance) : 0.0;

    StepRow row;
    set_output_to_original(row, config.prediction_type, alpha, sigma);
    set_output_bounds(row, config);
    row.next_output = static_cast<float>(std::sqrt(alpha_prod_t_prev));
    add_epsilon(row, config.prediction_type, std::sqrt(1 - alpha_prod_t_prev - std_dev * std_dev),
                alpha, sigma);
    row.next_noise = static_cast<float>(std_dev);
    row.draws_noise = eta > 0;
    schedule.rows.push_back(row);
  }
  schedule.input_scale.assign(schedule.rows.size(), 1.0F);
  return schedule;
}

}  // namespace diffuse
