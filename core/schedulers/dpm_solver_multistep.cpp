#include <algorithm>
#include <cmath>

#include "core/schedulers/log_snr.hpp"
#include "core/schedulers/noise_table.hpp"
#include "core/schedulers/sigma_table.hpp"
#include "core/schedulers/solvers.hpp"

// DPM-Solver++ and DPM-Solver, multistep, orders 1 to 3, and their SDE forms. Lu et al. 2022,
// arXiv:2211.01095 and arXiv:2206.00927; diffusers `scheduling_dpmsolver_multistep.py`.

namespace diffuse {
namespace {

/// next = sample_factor x + d[0] D0 + d[1] D1 + d[2] D2 + noise_factor z, where D0 is the latest
/// output, D1 and D2 its finite differences.
struct Update {
  float sample_factor = 0;
  float noise_factor = 0;
  float d[3] = {0, 0, 0};
};

/// The factors of an update from level s to t; float32 in the order of diffusers.
Update make_update(const SchedulerConfig& config, const NoiseLevel& t, const NoiseLevel& s,
                   int order) {
  const float h = t.lambda - s.lambda;
  const bool midpoint = order == 2 && config.solver_type == SolverType::midpoint;
  Update update;
  switch (config.algorithm_type) {
    case AlgorithmType::dpmsolver_pp: {
      const float e = std::exp(-h) - 1.0F;
      update.sample_factor = t.sigma / s.sigma;
      update.d[0] = -(t.alpha * e);
      update.d[1] = midpoint ? -0.5F * (t.alpha * e) : t.alpha * (e / h + 1.0F);
      update.d[2] = -(t.alpha * ((e + h) / (h * h) - 0.5F));
      break;
    }
    case AlgorithmType::dpmsolver: {
      const float e = std::exp(h) - 1.0F;
      update.sample_factor = t.alpha / s.alpha;
      update.d[0] = -(t.sigma * e);
      update.d[1] = midpoint ? -0.5F * (t.sigma * e) : -(t.sigma * (e / h - 1.0F));
      update.d[2] = -(t.sigma * ((e - h) / (h * h) - 0.5F));
      break;
    }
    case AlgorithmType::sde_dpmsolver_pp: {
      const float e = 1.0F - std::exp(-2.0F * h);
      const float h2 = 2.0F * h;
      update.sample_factor = t.sigma / s.sigma * std::exp(-h);
      update.d[0] = t.alpha * e;
      update.d[1] = midpoint ? 0.5F * (t.alpha * e) : t.alpha * (e / (-2.0F * h) + 1.0F);
      update.d[2] = t.alpha * ((e - h2) / (h2 * h2) - 0.5F);
      update.noise_factor = t.sigma * std::sqrt(e);
      break;
    }
    case AlgorithmType::sde_dpmsolver: {
      const float e = std::exp(h) - 1.0F;
      update.sample_factor = t.alpha / s.alpha;
      update.d[0] = -2.0F * (t.sigma * e);
      update.d[1] = midpoint ? -(t.sigma * e) : -2.0F * (t.sigma * (e / h - 1.0F));
      update.noise_factor = t.sigma * std::sqrt(std::exp(2.0F * h) - 1.0F);
      break;
    }
  }
  return update;
}

/// Puts the update into the row, the differences written out over the outputs m0, m1, m2.
void set_update(StepRow& row, const Update& update, int order, float h, float h0, float h1) {
  row.next_sample = update.sample_factor;
  row.next_noise = update.noise_factor;
  double of_m0 = static_cast<double>(update.d[0]);
  if (order == 2) {
    // D1 = (m0 - m1) / r0
    const double p = static_cast<double>(update.d[1]) / static_cast<double>(h0 / h);
    of_m0 += p;
    row.next_history[0] = static_cast<float>(-p);
  } else if (order == 3) {
    // D1_0 = (m0 - m1) / r0, D1_1 = (m1 - m2) / r1,
    // D1 = D1_0 + r0 / (r0 + r1) (D1_0 - D1_1), D2 = (D1_0 - D1_1) / (r0 + r1)
    const auto r0 = static_cast<double>(h0 / h);
    const auto r1 = static_cast<double>(h1 / h);
    const auto d1 = static_cast<double>(update.d[1]);
    const double shared = d1 * r0 / (r0 + r1) + static_cast<double>(update.d[2]) / (r0 + r1);
    const double p = (d1 + shared) / r0;
    const double q = -shared / r1;
    of_m0 += p;
    row.next_history[0] = static_cast<float>(-p + q);
    row.next_history[1] = static_cast<float>(-q);
  }
  row.next_output = static_cast<float>(of_m0);
}

/// Timesteps and sigmas of the run, the final sigma included.
SigmaTable make_table(const SchedulerConfig& config, int num_inference_steps) {
  const std::vector<float> alphas_cumprod = make_alphas_cumprod(config);
  const std::vector<float> training = training_sigmas(alphas_cumprod);
  // The number of noisiest timesteps whose lambda is below lambda_min_clipped.
  int clipped = 0;
  for (auto alpha = alphas_cumprod.rbegin(); alpha != alphas_cumprod.rend(); ++alpha) {
    const float lambda = std::log(std::sqrt(*alpha)) - std::log(std::sqrt(1.0F - *alpha));
    if (!(lambda < static_cast<float>(config.lambda_min_clipped))) break;
    ++clipped;
  }

  SigmaTable table;
  if (config.sigma_spacing == SigmaSpacing::as_timesteps) {
    table.timesteps =
        multistep_timesteps(config, num_inference_steps, config.num_train_timesteps - clipped);
    for (const double t : table.timesteps) table.sigmas.push_back(interpolate(training, t));
  } else {
    table.sigmas = {static_cast<double>(training.back()), static_cast<double>(training.front())};
    respace_sigmas(config, training, num_inference_steps, table);
    const bool rounded = config.sigma_spacing != SigmaSpacing::exponential &&
                         config.beta_schedule != BetaSchedule::squaredcos_cap_v2;
    for (double& t : table.timesteps) t = rounded ? std::nearbyint(t) : std::trunc(t);
  }
  table.sigmas.push_back(config.final_sigma_zero ? 0.0 : static_cast<double>(training.front()));
  return table;
}

/// The order of step i of n: it grows from 1, and falls again at the end of short runs.
int order_of_step(const SchedulerConfig& config, std::size_t i, std::size_t n) {
  const bool short_run = config.lower_order_final && n < 15;
  const bool first_order = config.euler_at_final || short_run || config.final_sigma_zero;
  if (i + 1 == n && first_order) return 1;
  const int known = static_cast<int>(std::min<std::size_t>(i + 1, 3));
  const int order = std::min(config.solver_order, known);
  return i + 2 == n && short_run ? std::min(order, 2) : order;
}

}  // namespace

Schedule make_dpm_solver_multistep(const SchedulerConfig& config, int num_inference_steps) {
  const SigmaTable table = make_table(config, num_inference_steps);
  const bool predicts_original = config.algorithm_type == AlgorithmType::dpmsolver_pp ||
                                 config.algorithm_type == AlgorithmType::sde_dpmsolver_pp;
  const bool stochastic = config.algorithm_type == AlgorithmType::sde_dpmsolver ||
                          config.algorithm_type == AlgorithmType::sde_dpmsolver_pp;
  std::vector<NoiseLevel> levels;
  for (const double sigma : table.sigmas) levels.emplace_back(static_cast<float>(sigma));

  Schedule schedule;
  schedule.timesteps = table.timesteps;
  const std::size_t n = table.timesteps.size();
  for (std::size_t i = 0; i < n; ++i) {
    const NoiseLevel& s = levels[i];
    const int order = order_of_step(config, i, n);
    StepRow row;
    const auto set_output = predicts_original ? set_output_to_original : set_output_to_epsilon;
    set_output(row, config.prediction_type, static_cast<double>(s.alpha),
               static_cast<double>(s.sigma));
    set_output_bounds(row, config);
    row.push = true;
    row.draws_noise = stochastic;
    set_update(row, make_update(config, levels[i + 1], s, order), order,
               levels[i + 1].lambda - s.lambda, order > 1 ? s.lambda - levels[i - 1].lambda : 0,
               order > 2 ? levels[i - 1].lambda - levels[i - 2].lambda : 0);
    schedule.rows.push_back(row);
  }
  schedule.input_scale.assign(n, 1.0F);
  return schedule;
}

}  // namespace diffuse
