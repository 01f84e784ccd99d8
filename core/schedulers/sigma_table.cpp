#include "core/schedulers/sigma_table.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "core/schedulers/noise_table.hpp"

namespace diffuse {
namespace {

/// numpy's float32 log on AVX2 and AVX-512 machines: the timesteps of respaced sigmas are read off
/// a table of it, and the UNet sees them. Rational approximation, x normal and positive.
/// Source: numpy `loops_exponent_log.dispatch.c.src`.
float numpy_log(float x) {
  auto bits = std::bit_cast<std::uint32_t>(x);
  float exponent = static_cast<float>(static_cast<int>(bits >> 23) - 127);
  bits = (bits & 0x007fffffU) | 0x3f800000U;
  float mantissa = std::bit_cast<float>(bits);  // [1, 2)
  if (mantissa > 1.41421356237F) {
    mantissa *= 0.5F;
    exponent += 1.0F;
  }
  const float y = mantissa - 1.0F;
  float p = 2.589979117907922693523e-02F;
  for (const float coefficient :
       {3.808837741388407920751e-01F, 1.480000633576506585156e+00F, 2.112677543073053063722e+00F,
        9.999999999999998702752e-01F, 0.0F}) {
    p = std::fma(p, y, coefficient);
  }
  float q = 5.875095403124574342950e-03F;
  for (const float coefficient :
       {1.546476374983906719538e-01F, 9.864942958519418960339e-01F, 2.453006071784736363091e+00F,
        2.612677543073109236779e+00F, 1.0F}) {
    q = std::fma(q, y, coefficient);
  }
  return std::fma(exponent, 6.931471805599453094e-1F, p / q);
}

/// The (fractional) training timestep at which log sigma has this value.
double timestep_of(double sigma, const std::vector<double>& log_sigmas) {
  const double log_sigma = std::log(std::max(sigma, 1e-10));
  // The last training sigma that is not larger; they grow with the timestep.
  const auto above = std::upper_bound(log_sigmas.begin(), log_sigmas.end(), log_sigma);
  auto low = static_cast<std::size_t>(above - log_sigmas.begin());
  if (low > 0) --low;
  low = std::min(low, log_sigmas.size() - 2);
  // The width of the interval is a difference of two numpy float32.
  const auto width = static_cast<float>(log_sigmas[low]) - static_cast<float>(log_sigmas[low + 1]);
  double weight = (log_sigmas[low] - log_sigma) / static_cast<double>(width);
  weight = std::clamp(weight, 0.0, 1.0);
  return (1 - weight) * static_cast<double>(low) + weight * static_cast<double>(low + 1);
}

}  // namespace

std::vector<float> training_sigmas(const std::vector<float>& alphas_cumprod) {
  std::vector<float> sigmas;
  sigmas.reserve(alphas_cumprod.size());
  for (const float alpha : alphas_cumprod) sigmas.push_back(std::sqrt((1.0F - alpha) / alpha));
  return sigmas;
}

double interpolate(const std::vector<float>& table, double x) {
  const auto value = [&table](std::size_t i) { return static_cast<double>(table[i]); };
  if (!(x > 0)) return value(0);
  if (x >= static_cast<double>(table.size() - 1)) return value(table.size() - 1);
  const auto below = static_cast<std::size_t>(x);
  const auto from = static_cast<double>(below);
  if (x == from) return value(below);
  return (value(below + 1) - value(below)) * (x - from) + value(below);
}

void respace_sigmas(const SchedulerConfig& config, const std::vector<float>& training, int num,
                    SigmaTable& table) {
  if (config.sigma_spacing == SigmaSpacing::as_timesteps) return;
  std::vector<double> log_sigmas;
  log_sigmas.reserve(training.size());
  for (const float sigma : training) log_sigmas.push_back(static_cast<double>(numpy_log(sigma)));

  // LMS alone does not look for the two limits when it makes karras sigmas.
  const bool limits =
      config.kind != SchedulerKind::lms_discrete || config.sigma_spacing != SigmaSpacing::karras;
  const double largest =
      limits ? config.sigma_max.value_or(table.sigmas.front()) : table.sigmas.front();
  const double smallest =
      limits ? config.sigma_min.value_or(table.sigmas.back()) : table.sigmas.back();
  switch (config.sigma_spacing) {
    case SigmaSpacing::as_timesteps:
      return;
    case SigmaSpacing::karras: {
      constexpr double kRho = 7.0;
      const double from = std::pow(largest, 1 / kRho);
      const double to = std::pow(smallest, 1 / kRho);
      table.sigmas = linspace(0, 1, num);
      for (double& sigma : table.sigmas) sigma = std::pow(from + sigma * (to - from), kRho);
      break;
    }
    case SigmaSpacing::exponential:
      table.sigmas = linspace(std::log(largest), std::log(smallest), num);
      for (double& sigma : table.sigmas) sigma = std::exp(sigma);
      break;
    case SigmaSpacing::lu: {
      // Even steps of log sigma; this one does not look for sigma_min and sigma_max.
      const double from = log_sigmas.back();
      const double to = log_sigmas.front();
      table.sigmas = linspace(0, 1, num);
      for (double& sigma : table.sigmas) sigma = std::exp(from + sigma * (to - from));
      break;
    }
  }
  table.timesteps.clear();
  table.timesteps.reserve(table.sigmas.size());
  for (const double sigma : table.sigmas) table.timesteps.push_back(timestep_of(sigma, log_sigmas));
}

SigmaTable make_sigma_table(const SchedulerConfig& config, const std::vector<float>& training,
                            int num_inference_steps) {
  SigmaTable table;
  table.timesteps = spaced_timesteps(config, num_inference_steps, false);
  for (const double timestep : table.timesteps) {
    table.sigmas.push_back(interpolate(training, timestep));
  }
  if (!table.sigmas.empty()) respace_sigmas(config, training, num_inference_steps, table);
  // torch holds both as float32.
  for (double& timestep : table.timesteps) timestep = static_cast<float>(timestep);
  for (double& sigma : table.sigmas) sigma = static_cast<float>(sigma);
  return table;
}

float first_noise_sigma(const SchedulerConfig& config, const std::vector<float>& sigmas) {
  const float largest = *std::max_element(sigmas.begin(), sigmas.end());
  if (config.timestep_spacing != TimestepSpacing::leading) return largest;
  return std::sqrt(largest * largest + 1.0F);
}

float sigma_input_scale(float sigma) {
  return static_cast<float>(1.0 / static_cast<double>(std::sqrt(sigma * sigma + 1.0F)));
}

SigmaDerivative::SigmaDerivative(PredictionType type, float at_sigma)
    : of_sample(0), of_noise_pred(1) {
  const auto sigma = static_cast<double>(at_sigma);
  const double variance = sigma * sigma + 1;
  if (type == PredictionType::v_prediction) {
    of_noise_pred = 1 / std::sqrt(variance);
    of_sample = sigma / variance;
  } else if (type == PredictionType::sample) {
    of_noise_pred = -1 / sigma;
    of_sample = 1 / sigma;
  }
}

}  // namespace diffuse
