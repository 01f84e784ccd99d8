#pragma once

#include <cmath>

#include "core/schedulers/scheduler.hpp"

// The makers of tables, one file each; only `make_schedule` calls them. They fill timesteps,
// input_scale, rows and init_noise_sigma; the rest is derived from the rows.

namespace diffuse {

Schedule make_ddim(const SchedulerConfig& config, int num_inference_steps, double eta);
Schedule make_pndm(const SchedulerConfig& config, int num_inference_steps);
Schedule make_lms_discrete(const SchedulerConfig& config, int num_inference_steps);
Schedule make_euler_discrete(const SchedulerConfig& config, int num_inference_steps);
Schedule make_euler_ancestral_discrete(const SchedulerConfig& config, int num_inference_steps);
Schedule make_heun_discrete(const SchedulerConfig& config, int num_inference_steps);
Schedule make_dpm_solver_multistep(const SchedulerConfig& config, int num_inference_steps);
Schedule make_unipc_multistep(const SchedulerConfig& config, int num_inference_steps);
Schedule make_lcm(const SchedulerConfig& config, int num_inference_steps);

/// Thrown as ConfigError: this scheduler cannot run that many steps, because of `why`.
[[noreturn]] void refuse_steps(const SchedulerConfig& config, int num_inference_steps,
                               const std::string& why);

/// m = predicted original sample at signal rate `alpha` and noise rate `sigma`
/// (alpha^2 + sigma^2 = 1): epsilon (x - sigma e) / alpha, v alpha x - sigma v, sample itself.
inline void set_output_to_original(StepRow& row, PredictionType type, double alpha, double sigma) {
  switch (type) {
    case PredictionType::epsilon:
      row.to_output_sample = static_cast<float>(1.0 / alpha);
      row.to_output_noise_pred = static_cast<float>(-sigma / alpha);
      return;
    case PredictionType::v_prediction:
      row.to_output_sample = static_cast<float>(alpha);
      row.to_output_noise_pred = static_cast<float>(-sigma);
      return;
    case PredictionType::sample:
      row.to_output_noise_pred = 1;
      return;
  }
}

/// m = predicted noise: epsilon itself, v alpha v + sigma x, sample (x - alpha output) / sigma.
inline void set_output_to_epsilon(StepRow& row, PredictionType type, double alpha, double sigma) {
  switch (type) {
    case PredictionType::epsilon:
      row.to_output_noise_pred = 1;
      return;
    case PredictionType::v_prediction:
      row.to_output_noise_pred = static_cast<float>(alpha);
      row.to_output_sample = static_cast<float>(sigma);
      return;
    case PredictionType::sample:
      row.to_output_noise_pred = static_cast<float>(-alpha / sigma);
      row.to_output_sample = static_cast<float>(1.0 / sigma);
      return;
  }
}

/// Clipping or dynamic thresholding of m, as the configuration says; thresholding goes first.
inline void set_output_bounds(StepRow& row, const SchedulerConfig& config) {
  if (config.thresholding) {
    row.threshold_ratio = static_cast<float>(config.dynamic_thresholding_ratio);
    row.threshold_max_value = static_cast<float>(config.sample_max_value);
  } else if (config.clip_sample) {
    row.clip = static_cast<float>(config.clip_sample_range);
  }
}

}  // namespace diffuse
