#include <algorithm>
#include <array>
#include <cmath>

#include "core/schedulers/noise_table.hpp"
#include "core/schedulers/sigma_table.hpp"
#include "core/schedulers/solvers.hpp"

// Linear multistep over sigma with up to four derivatives: k-diffusion's `sample_lms` (Crowson);
// diffusers `scheduling_lms_discrete.py`.

namespace diffuse {
namespace {

constexpr int kOrder = 4;

/// Integral from sigmas[t] to sigmas[t + 1] of the Lagrange polynomial that is 1 at
/// sigmas[t - current] and 0 at the other of the latest `order` sigmas. Three Gauss points are
/// exact for its degree of three; diffusers integrates numerically to a relative 1e-4, which for
/// polynomials is exact too.
double lms_coefficient(const std::vector<float>& sigmas, std::size_t t, int order, int current) {
  const auto sigma = [&](int k) {
    return static_cast<double>(sigmas[t - static_cast<std::size_t>(k)]);
  };
  const double half = (static_cast<double>(sigmas[t + 1]) - sigma(0)) / 2;
  const double middle = sigma(0) + half;
  const double point = std::sqrt(3.0 / 5.0);
  double integral = 0;
  for (const auto& [where, weight] :
       {std::array{-point, 5.0 / 9}, std::array{0.0, 8.0 / 9}, std::array{point, 5.0 / 9}}) {
    double product = weight;
    for (int k = 0; k < order; ++k) {
      if (k == current) continue;
      product *= (middle + half * where - sigma(k)) / (sigma(current) - sigma(k));
    }
    integral += product;
  }
  return integral * half;
}

}  // namespace

Schedule make_lms_discrete(const SchedulerConfig& config, int num_inference_steps) {
  const std::vector<float> training = training_sigmas(make_alphas_cumprod(config));
  const SigmaTable table = make_sigma_table(config, training, num_inference_steps);
  std::vector<float> sigmas(table.sigmas.begin(), table.sigmas.end());
  sigmas.push_back(0.0F);

  Schedule schedule;
  schedule.timesteps = table.timesteps;
  schedule.init_noise_sigma = first_noise_sigma(config, sigmas);
  for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const int order = static_cast<int>(std::min<std::size_t>(i + 1, kOrder));
    StepRow row;
    const SigmaDerivative derivative(config.prediction_type, sigmas[i]);
    row.to_output_sample = static_cast<float>(derivative.of_sample);
    row.to_output_noise_pred = static_cast<float>(derivative.of_noise_pred);
    row.push = true;
    row.next_sample = 1;
    row.next_output = static_cast<float>(lms_coefficient(sigmas, i, order, 0));
    for (int k = 1; k < order; ++k) {
      row.next_history[static_cast<std::size_t>(k - 1)] =
          static_cast<float>(lms_coefficient(sigmas, i, order, k));
    }
    schedule.rows.push_back(row);
    schedule.input_scale.push_back(sigma_input_scale(sigmas[i]));
  }
  return schedule;
}

}  // namespace diffuse
