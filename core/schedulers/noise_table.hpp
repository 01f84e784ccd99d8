#pragma once

#include <vector>

#include "core/schedulers/scheduler.hpp"

namespace diffuse {

/// alphas_cumprod [num_train_timesteps], float32 as diffusers has it: betas in float32, their
/// product summed up in double (torch's cumprod on a CPU), stored as float32. With
/// `rescale_betas_zero_snr` the last entry is 0 for DDIM and LCM, 2^-24 for the others.
/// Throws InputError for betas outside of [0, 1].
std::vector<float> make_alphas_cumprod(const SchedulerConfig& config);

/// The timesteps of a run from noisy to clean, by `timestep_spacing`; whole numbers, except that
/// `linspace` is rounded only if `whole`. Source: Table 2 of arXiv:2305.08891, diffusers'
/// `set_timesteps`, with numpy's own rounding of `linspace` and `arange`.
std::vector<double> spaced_timesteps(const SchedulerConfig& config, int num_inference_steps,
                                     bool whole);

/// The same for the multistep solvers, which leave out the last of n + 1 timesteps and may begin
/// below the noisiest, at `last_timestep`.
std::vector<double> multistep_timesteps(const SchedulerConfig& config, int num_inference_steps,
                                        int last_timestep);

/// numpy's `linspace(start, stop, num)` in double.
std::vector<double> linspace(double start, double stop, int num);

/// table[index] as Python reads it: negative indices count from the end. Throws ConfigError where
/// Python raises IndexError.
double lookup(const SchedulerConfig& config, const std::vector<float>& table, long index,
              int num_inference_steps);

}  // namespace diffuse
