#include <algorithm>
#include <array>
#include <cmath>

#include "core/schedulers/log_snr.hpp"
#include "core/schedulers/noise_table.hpp"
#include "core/schedulers/sigma_table.hpp"
#include "core/schedulers/solvers.hpp"

// UniPC: a predictor, and a corrector that redoes the step before with the output at its end. The
// corrected sample is the row's saved one. Zhao et al. 2023, arXiv:2302.04867;
// diffusers `scheduling_unipc_multistep.py`.

namespace diffuse {
namespace {

constexpr int kMostOrder = 3;

/// A step to level t over x and outputs:
///   sample_factor x + outputs[0] m0 + outputs[1] m1 + outputs[2] m2 + end_output m(t)
/// m0 is the output at the step's begin, m1 and m2 the ones before.
struct Update {
  double sample_factor = 0;
  std::array<double, kMostOrder> outputs{};
  double end_output = 0;  ///< corrector only
};

/// Solves the first `size` rows and columns of a x = b; Gaussian elimination with pivoting.
std::array<double, kMostOrder> solve(std::array<std::array<double, kMostOrder>, kMostOrder> a,
                                     std::array<double, kMostOrder> b, std::size_t size) {
  for (std::size_t column = 0; column < size; ++column) {
    std::size_t pivot = column;
    for (std::size_t row = column + 1; row < size; ++row) {
      if (std::abs(a[row][column]) > std::abs(a[pivot][column])) pivot = row;
    }
    std::swap(a[column], a[pivot]);
    std::swap(b[column], b[pivot]);
    for (std::size_t row = 0; row < size; ++row) {
      if (row == column) continue;
      const double factor = a[row][column] / a[column][column];
      for (std::size_t k = column; k < size; ++k) a[row][k] -= factor * a[column][k];
      b[row] -= factor * b[column];
    }
  }
  for (std::size_t row = 0; row < size; ++row) b[row] /= a[row][row];
  return b;
}

/// The step to levels[t]. Float32 in the order of diffusers up to the linear system.
Update make_update(const SchedulerConfig& config, const std::vector<NoiseLevel>& levels,
                   std::size_t t, int order, bool corrector) {
  const NoiseLevel& to = levels[t];
  const NoiseLevel& from = levels[t - 1];
  const float h = to.lambda - from.lambda;
  const float hh = config.predict_x0 ? -h : h;
  const float h_phi_1 = std::expm1(hh);
  const float b_h = config.solver_type == SolverType::bh1 ? hh : h_phi_1;
  const auto size = static_cast<std::size_t>(order);

  std::array<float, kMostOrder> r{};
  for (std::size_t k = 1; k < size; ++k) r[k - 1] = (levels[t - 1 - k].lambda - from.lambda) / h;
  r[size - 1] = 1;
  std::array<std::array<double, kMostOrder>, kMostOrder> matrix{};
  std::array<double, kMostOrder> b{};
  float h_phi_k = h_phi_1 / hh - 1.0F;
  int factorial = 1;
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t k = 0; k < size; ++k) {
      matrix[i][k] = static_cast<double>(std::pow(r[k], static_cast<float>(i)));
    }
    b[i] = static_cast<double>(h_phi_k * static_cast<float>(factorial) / b_h);
    factorial *= static_cast<int>(i) + 2;
    h_phi_k = h_phi_k / hh - static_cast<float>(1.0 / factorial);
  }
  // Closed forms, as diffusers has them, at order 2 of the predictor and 1 of the corrector.
  const std::size_t unknowns = corrector ? size : size - 1;
  std::array<double, kMostOrder> rho{0.5};
  if (unknowns > 1) rho = solve(matrix, b, unknowns);

  const float rate = config.predict_x0 ? to.alpha : to.sigma;
  const auto scale = static_cast<double>(-(rate * b_h));
  Update update;
  update.sample_factor =
      static_cast<double>(config.predict_x0 ? to.sigma / from.sigma : to.alpha / from.alpha);
  update.outputs[0] = static_cast<double>(-(rate * h_phi_1));
  for (std::size_t k = 1; k < size; ++k) {
    const double factor = scale * rho[k - 1] / static_cast<double>(r[k - 1]);
    update.outputs[k] = factor;
    update.outputs[0] -= factor;
  }
  if (corrector) {
    update.end_output = scale * rho[size - 1];
    update.outputs[0] -= update.end_output;
  }
  return update;
}

/// Timesteps and sigmas of the run, the final sigma included.
SigmaTable make_table(const SchedulerConfig& config, int num_inference_steps) {
  const std::vector<float> training = training_sigmas(make_alphas_cumprod(config));
  SigmaTable table;
  double last = static_cast<double>(training.front());
  if (config.sigma_spacing == SigmaSpacing::as_timesteps) {
    table.timesteps = multistep_timesteps(config, num_inference_steps, config.num_train_timesteps);
    for (const double t : table.timesteps) table.sigmas.push_back(interpolate(training, t));
  } else {
    table.sigmas = {static_cast<double>(training.back()), last};
    respace_sigmas(config, training, num_inference_steps, table);
    const bool rounded = config.sigma_spacing == SigmaSpacing::karras;
    for (double& t : table.timesteps) t = rounded ? std::nearbyint(t) : std::trunc(t);
    last = table.sigmas.back();
  }
  table.sigmas.push_back(config.final_sigma_zero ? 0.0 : last);
  return table;
}

void set_corrector(StepRow& row, const Update& update, int order) {
  row.saved_saved = static_cast<float>(update.sample_factor);
  row.saved_output = static_cast<float>(update.end_output);
  for (std::size_t k = 0; k < static_cast<std::size_t>(order); ++k) {
    row.saved_history[k] = static_cast<float>(update.outputs[k]);
  }
}

void set_predictor(StepRow& row, const Update& update, int order) {
  row.next_saved = static_cast<float>(update.sample_factor);
  row.next_output = static_cast<float>(update.outputs[0]);
  for (std::size_t k = 1; k < static_cast<std::size_t>(order); ++k) {
    row.next_history[k - 1] = static_cast<float>(update.outputs[k]);
  }
}

}  // namespace

Schedule make_unipc_multistep(const SchedulerConfig& config, int num_inference_steps) {
  const SigmaTable table = make_table(config, num_inference_steps);
  std::vector<NoiseLevel> levels;
  for (const double sigma : table.sigmas) levels.emplace_back(static_cast<float>(sigma));

  Schedule schedule;
  schedule.timesteps = table.timesteps;
  const auto n = static_cast<int>(table.timesteps.size());
  int order = 0;  // of the step before
  for (int i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    StepRow row;
    const auto set_output = config.predict_x0 ? set_output_to_original : set_output_to_epsilon;
    set_output(row, config.prediction_type, static_cast<double>(levels[at].alpha),
               static_cast<double>(levels[at].sigma));
    if (config.predict_x0) set_output_bounds(row, config);
    row.push = true;

    const auto& disabled = config.disable_corrector;
    if (i > 0 && std::find(disabled.begin(), disabled.end(), i - 1) == disabled.end()) {
      set_corrector(row, make_update(config, levels, at, order, true), order);
    } else {
      row.saved_sample = 1;
    }
    order = std::min(config.solver_order, i + 1);
    if (config.lower_order_final) order = std::min(order, n - i);
    set_predictor(row, make_update(config, levels, at + 1, order, false), order);
    schedule.rows.push_back(row);
  }
  schedule.input_scale.assign(schedule.rows.size(), 1.0F);
  return schedule;
}

}  // namespace diffuse
