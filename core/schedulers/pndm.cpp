#include <algorithm>
#include <cmath>

#include "core/schedulers/noise_table.hpp"
#include "core/schedulers/solvers.hpp"

// Pseudo numerical methods for diffusion models: linear multistep over the model's outputs (PLMS),
// begun by a doubled step, or by three Runge-Kutta steps of four calls each (PRK).
// Liu et al. 2022, arXiv:2202.09778; diffusers `scheduling_pndm.py`.

namespace diffuse {
namespace {

/// previous sample = sample_factor * sample + output_factor * model output: formula (9).
struct Transfer {
  double sample_factor;
  double output_factor;
};

class Pndm {
 public:
  Pndm(const SchedulerConfig& config, int num_inference_steps)
      : config_(config),
        num_inference_steps_(num_inference_steps),
        ratio_(config.num_train_timesteps / num_inference_steps),
        alphas_cumprod_(make_alphas_cumprod(config)) {}

  Schedule make();

 private:
  [[nodiscard]] double alpha_prod(long timestep) const {
    return lookup(config_, alphas_cumprod_, timestep, num_inference_steps_);
  }
  [[nodiscard]] Transfer transfer(long timestep, long previous) const;
  void add_runge_kutta(const std::vector<double>& ascending);
  void add_multistep(long timestep, int outputs);
  void add_doubled_start(const std::vector<double>& ascending);
  void add_row(double timestep, const StepRow& row) {
    schedule_.timesteps.push_back(timestep);
    schedule_.rows.push_back(row);
  }

  const SchedulerConfig& config_;
  int num_inference_steps_;
  long ratio_;
  std::vector<float> alphas_cumprod_;
  Schedule schedule_;
};

Transfer Pndm::transfer(long timestep, long previous) const {
  const double a = alpha_prod(timestep);
  const double a_prev = previous >= 0              ? alpha_prod(previous)
                        : config_.set_alpha_to_one ? 1.0
                                                   : static_cast<double>(alphas_cumprod_.front());
  const double sample_factor = std::sqrt(a_prev / a);
  const double output_factor =
      -(a_prev - a) / (a * std::sqrt(1 - a_prev) + std::sqrt(a * (1 - a) * a_prev));
  if (config_.prediction_type == PredictionType::epsilon) return {sample_factor, output_factor};
  // v: the output becomes sqrt(a) * output + sqrt(1 - a) * sample first.
  return {sample_factor + output_factor * std::sqrt(1 - a), output_factor * std::sqrt(a)};
}

/// A step from the latest `outputs` model outputs, this one included (Adams-Bashforth).
void Pndm::add_multistep(long timestep, int outputs) {
  static constexpr double kWeights[4][4] = {{1, 0, 0, 0},
                                            {3.0 / 2, -1.0 / 2, 0, 0},
                                            {23.0 / 12, -16.0 / 12, 5.0 / 12, 0},
                                            {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24}};
  const Transfer step = transfer(timestep, timestep - ratio_);
  const double* weights = kWeights[outputs - 1];
  StepRow row;
  row.to_output_noise_pred = 1;
  row.next_sample = static_cast<float>(step.sample_factor);
  row.next_output = static_cast<float>(step.output_factor * weights[0]);
  for (int k = 1; k < outputs; ++k) {
    row.next_history[static_cast<std::size_t>(k - 1)] =
        static_cast<float>(step.output_factor * weights[k]);
  }
  row.push = true;
  add_row(static_cast<double>(timestep), row);
}

/// The first two calls of PLMS: a plain step, and the same step again with the mean of both
/// outputs.
void Pndm::add_doubled_start(const std::vector<double>& ascending) {
  add_multistep(static_cast<long>(ascending.back()), 1);
  schedule_.rows.back().saved_sample = 1;
  if (ascending.size() < 2) return;
  const auto timestep = static_cast<long>(ascending[ascending.size() - 2]);
  const Transfer step = transfer(timestep + ratio_, timestep);
  StepRow row;
  row.to_output_noise_pred = 1;
  row.saved_saved = 1;
  row.next_saved = static_cast<float>(step.sample_factor);
  row.next_output = static_cast<float>(step.output_factor / 2);
  row.next_history[0] = static_cast<float>(step.output_factor / 2);
  add_row(static_cast<double>(timestep), row);
}

/// Three steps of four calls. With S the sample before the step and m0..m3 the outputs of its
/// calls, call c gives x_c = A_c S + B_c m_c for c < 3, and the step A_3 S + B_3 (m0 + 2 m1 + 2 m2
/// + m3)/6. The history keeps m0 for the multistep part, so m1 and m2 are not stored: they are in
/// the samples. Call 2 saves R = A_3 S + B_3 (m1 + m2)/3 + x_2, from which call 2 gets S back by
/// eliminating m1 with its own sample x_1; adding x_2 keeps that division away from zero.
void Pndm::add_runge_kutta(const std::vector<double>& ascending) {
  const long half = ratio_ / 2;
  for (std::size_t i = 1; i <= 3; ++i) {
    const auto t = static_cast<long>(ascending[ascending.size() - i]);
    const auto t_next = static_cast<long>(ascending[ascending.size() - i - 1]);
    const long calls[4] = {t, t_next + half, t_next + half, t_next};
    Transfer x[4];
    for (int c = 0; c < 4; ++c) x[c] = transfer(t, calls[c] - (c % 2 == 0 ? half : 0));

    StepRow row;
    row.to_output_noise_pred = 1;
    row.push = true;
    row.saved_sample = 1;
    row.next_sample = static_cast<float>(x[0].sample_factor);
    row.next_output = static_cast<float>(x[0].output_factor);
    add_row(static_cast<double>(calls[0]), row);

    row = StepRow{};
    row.to_output_noise_pred = 1;
    row.saved_saved = 1;
    row.next_saved = static_cast<float>(x[1].sample_factor);
    row.next_output = static_cast<float>(x[1].output_factor);
    add_row(static_cast<double>(calls[1]), row);

    // R = (A_3 + A_2 - A_1 share) S + share x_1 + (B_3/3 + B_2) m2, with m1 = (x_1 - A_1 S) / B_1.
    const double share = x[3].output_factor / 3 / x[1].output_factor;
    const double of_start = x[3].sample_factor + x[2].sample_factor - share * x[1].sample_factor;
    const double of_output = x[3].output_factor / 3 + x[2].output_factor;
    const double back =
        x[2].sample_factor / of_start;  // S = (R - share x_1 - of_output m2) / of_start
    row = StepRow{};
    row.to_output_noise_pred = 1;
    row.saved_saved = static_cast<float>(of_start);
    row.saved_sample = static_cast<float>(share);
    row.saved_output = static_cast<float>(of_output);
    row.next_saved = static_cast<float>(back);
    row.next_sample = static_cast<float>(-back * share);
    row.next_output = static_cast<float>(x[2].output_factor - back * of_output);
    add_row(static_cast<double>(calls[2]), row);

    row = StepRow{};
    row.to_output_noise_pred = 1;
    row.saved_saved = 1;
    row.next_saved = 1;
    row.next_sample = -1;
    row.next_output = static_cast<float>(x[3].output_factor / 6);
    row.next_history[0] = static_cast<float>(x[3].output_factor / 6);
    add_row(static_cast<double>(calls[3]), row);
  }
}

Schedule Pndm::make() {
  std::vector<double> ascending = spaced_timesteps(config_, num_inference_steps_, true);
  ascending = {ascending.rbegin(), ascending.rend()};
  const auto count = static_cast<int>(ascending.size());
  if (config_.skip_prk_steps) {
    add_doubled_start(ascending);
    int outputs = 2;
    for (int i = count - 2; i >= 0; --i) {
      add_multistep(static_cast<long>(ascending[static_cast<std::size_t>(i)]), outputs);
      outputs = std::min(outputs + 1, 4);
    }
  } else {
    if (count < 4) refuse_steps(config_, num_inference_steps_, "its Runge-Kutta start takes four");
    add_runge_kutta(ascending);
    for (int i = count - 4; i >= 0; --i) {
      add_multistep(static_cast<long>(ascending[static_cast<std::size_t>(i)]), 4);
    }
  }
  schedule_.input_scale.assign(schedule_.rows.size(), 1.0F);
  return schedule_;
}

}  // namespace

Schedule make_pndm(const SchedulerConfig& config, int num_inference_steps) {
  return Pndm(config, num_inference_steps).make();
}

}  // namespace diffuse
