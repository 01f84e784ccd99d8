#pragma once

#include <vector>

#include "core/schedulers/scheduler.hpp"

namespace diffuse {

/// sigma = sqrt((1 - alphas_cumprod) / alphas_cumprod) of every training timestep, float32.
std::vector<float> training_sigmas(const std::vector<float>& alphas_cumprod);

/// The sigmas of a run from noisy to clean, float32, without the final one, and the timesteps that
/// belong to them.
struct SigmaTable {
  std::vector<double> timesteps;
  std::vector<double> sigmas;
};

/// numpy's interp(x, 0..size-1, table) in double; outside of the table its ends.
double interpolate(const std::vector<float>& table, double x);

/// Replaces the sigmas by `num` new ones between `sigmas.front()` and `sigmas.back()` (or the
/// configuration's sigma_max and sigma_min), as `sigma_spacing` says, and the timesteps by those
/// where log sigma of the training table has these values. For `as_timesteps`: nothing changes.
/// karras: (max^(1/7) + r (min^(1/7) - max^(1/7)))^7, r from 0 to 1 (arXiv:2206.00364, eq. 5).
void respace_sigmas(const SchedulerConfig& config, const std::vector<float>& training, int num,
                    SigmaTable& table);

/// The table of Euler, Euler ancestral, LMS and Heun: timesteps by `timestep_spacing`, sigmas
/// interpolated linearly, then respaced.
SigmaTable make_sigma_table(const SchedulerConfig& config, const std::vector<float>& training,
                            int num_inference_steps);

/// Standard deviation of the first sample: the largest sigma, for `leading` sqrt(sigma^2 + 1).
float first_noise_sigma(const SchedulerConfig& config, const std::vector<float>& sigmas);

/// 1 / sqrt(sigma^2 + 1), by which the sample is multiplied before the UNet.
float sigma_input_scale(float sigma);

/// d sample / d sigma = (sample - x0) / sigma as a sum of the sample and the model's output, x0
/// being the predicted original sample. epsilon: e; v: v / sqrt(sigma^2 + 1) + x sigma / (sigma^2 +
/// 1); sample: (x - output) / sigma.
struct SigmaDerivative {
  double of_sample;
  double of_noise_pred;

  SigmaDerivative(PredictionType type, float at_sigma);
};

}  // namespace diffuse
