#include "core/schedulers/noise_table.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/schedulers/solvers.hpp"

namespace diffuse {
namespace {

/// torch.linspace in float32: counted from the nearer end, multiply and add fused.
std::vector<float> torch_linspace(float start, float stop, int num) {
  std::vector<float> values(static_cast<std::size_t>(num), start);
  if (num < 2) return values;
  const float step = (stop - start) / static_cast<float>(num - 1);
  for (int i = 0; i < num; ++i) {
    values[static_cast<std::size_t>(i)] =
        i < num / 2 ? std::fma(step, static_cast<float>(i), start)
                    : std::fma(-step, static_cast<float>(num - i - 1), stop);
  }
  return values;
}

double alpha_bar(BetaSchedule schedule, double t) {
  if (schedule == BetaSchedule::exp) return std::exp(t * -12.0);
  const double cosine = std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2);
  return cosine * cosine;
}

std::vector<float> make_betas(const SchedulerConfig& config) {
  const int num = config.num_train_timesteps;
  if (!config.trained_betas.empty()) {
    return {config.trained_betas.begin(), config.trained_betas.end()};
  }
  switch (config.beta_schedule) {
    case BetaSchedule::linear:
      return torch_linspace(static_cast<float>(config.beta_start),
                            static_cast<float>(config.beta_end), num);
    case BetaSchedule::scaled_linear: {
      auto betas = torch_linspace(static_cast<float>(std::sqrt(config.beta_start)),
                                  static_cast<float>(std::sqrt(config.beta_end)), num);
      for (float& beta : betas) beta *= beta;
      return betas;
    }
    case BetaSchedule::squaredcos_cap_v2:
    case BetaSchedule::exp:
      break;
  }
  std::vector<float> betas;
  for (int i = 0; i < num; ++i) {
    const double before = alpha_bar(config.beta_schedule, static_cast<double>(i) / num);
    const double after = alpha_bar(config.beta_schedule, static_cast<double>(i + 1) / num);
    betas.push_back(static_cast<float>(std::min(1 - after / before, 0.999)));
  }
  return betas;
}

std::vector<float> cumulative_product(const std::vector<float>& betas) {
  std::vector<float> products;
  double product = 1;
  for (const float beta : betas) {
    product *= static_cast<double>(1.0F - beta);
    products.push_back(static_cast<float>(product));
  }
  return products;
}

/// Betas whose last alphas_cumprod is 0: Algorithm 1 of arXiv:2305.08891, float32 throughout.
std::vector<float> rescale_zero_terminal_snr(const std::vector<float>& betas) {
  std::vector<float> roots = cumulative_product(betas);
  for (float& root : roots) root = std::sqrt(root);
  const float first = roots.front();
  const float last = roots.back();
  const float scale = first / (first - last);
  for (float& root : roots) {
    root = (root - last) * scale;
    root *= root;  // from here on alphas_cumprod
  }
  std::vector<float> rescaled{1.0F - roots.front()};
  for (std::size_t i = 1; i < roots.size(); ++i) rescaled.push_back(1.0F - roots[i] / roots[i - 1]);
  return rescaled;
}

}  // namespace

std::vector<float> make_alphas_cumprod(const SchedulerConfig& config) {
  std::vector<float> betas = make_betas(config);
  for (const float beta : betas) {
    if (beta >= 0 && beta <= 1) continue;
    throw InputError(ExitCode::bad_model,
                     printable(config.file) + ": " +
                         (config.trained_betas.empty() ? "beta_start and beta_end give"
                                                       : "trained_betas holds") +
                         " a beta outside of 0 to 1, so there is no noise schedule; correct the "
                         "values or use another model folder");
  }
  if (config.rescale_betas_zero_snr) betas = rescale_zero_terminal_snr(betas);
  std::vector<float> alphas_cumprod = cumulative_product(betas);
  // Not quite 0, so that the first sigma is finite (diffusers: the smallest f16 number).
  const bool sigma_scheduler =
      config.kind != SchedulerKind::ddim && config.kind != SchedulerKind::lcm;
  if (config.rescale_betas_zero_snr && sigma_scheduler) alphas_cumprod.back() = 0x1p-24F;
  return alphas_cumprod;
}

std::vector<double> linspace(double start, double stop, int num) {
  std::vector<double> values(static_cast<std::size_t>(num), start);
  if (num < 2) return values;
  const double step = (stop - start) / (num - 1);
  for (int i = 0; i < num; ++i) values[static_cast<std::size_t>(i)] = i * step + start;
  values.back() = stop;
  return values;
}

namespace {

std::vector<double> leading_timesteps(int num, int stride, const SchedulerConfig& config) {
  std::vector<double> timesteps(static_cast<std::size_t>(num), config.steps_offset);
  for (int i = 0; i < num; ++i) {
    timesteps[static_cast<std::size_t>(i)] += static_cast<double>(i) * stride;
  }
  return timesteps;
}

/// round(arange(last, 0, -step)) - 1. numpy's arange takes its step from the first two values, and
/// its length from a quotient in double, which may hold one value more than expected.
std::vector<double> trailing_timesteps(double last, double step) {
  std::vector<double> timesteps;
  const double delta = (last - step) - last;
  const double length = std::ceil((0.0 - last) / -step);
  timesteps.reserve(static_cast<std::size_t>(length));
  for (int i = 0; i < length; ++i) timesteps.push_back(std::nearbyint(last + i * delta) - 1);
  return timesteps;
}

}  // namespace

std::vector<double> spaced_timesteps(const SchedulerConfig& config, int num_inference_steps,
                                     bool whole) {
  const int num_train = config.num_train_timesteps;
  std::vector<double> timesteps;
  switch (config.timestep_spacing) {
    case TimestepSpacing::linspace:
      timesteps = linspace(0, num_train - 1, num_inference_steps);
      for (double& t : timesteps) t = whole ? std::nearbyint(t) : static_cast<float>(t);
      break;
    case TimestepSpacing::leading:
      timesteps = leading_timesteps(num_inference_steps, num_train / num_inference_steps, config);
      break;
    case TimestepSpacing::trailing:
      return trailing_timesteps(num_train, static_cast<double>(num_train) / num_inference_steps);
  }
  std::reverse(timesteps.begin(), timesteps.end());
  return timesteps;
}

std::vector<double> multistep_timesteps(const SchedulerConfig& config, int num_inference_steps,
                                        int last_timestep) {
  const int num = num_inference_steps + 1;
  std::vector<double> timesteps;
  switch (config.timestep_spacing) {
    case TimestepSpacing::linspace:
      timesteps = linspace(0, last_timestep - 1, num);
      for (double& t : timesteps) t = std::nearbyint(t);
      break;
    case TimestepSpacing::leading:
      timesteps = leading_timesteps(num, last_timestep / num, config);
      break;
    case TimestepSpacing::trailing:
      return trailing_timesteps(
          last_timestep, static_cast<double>(config.num_train_timesteps) / num_inference_steps);
  }
  std::reverse(timesteps.begin(), timesteps.end());
  timesteps.pop_back();
  return timesteps;
}

double lookup(const SchedulerConfig& config, const std::vector<float>& table, long index,
              int num_inference_steps) {
  const auto size = static_cast<long>(table.size());
  if (index < -size || index >= size) {
    refuse_steps(config, num_inference_steps,
                 "timestep " + std::to_string(index) + " is outside of the " +
                     std::to_string(size) + " that the model was trained with");
  }
  return static_cast<double>(table[static_cast<std::size_t>(index < 0 ? index + size : index)]);
}

}  // namespace diffuse
