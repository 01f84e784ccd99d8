#include "core/schedulers/scheduler.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/schedulers/solvers.hpp"

namespace diffuse {
namespace {

Schedule make_tables(const SchedulerConfig& config, int num_inference_steps, double eta) {
  switch (config.kind) {
    case SchedulerKind::ddim:
      return make_ddim(config, num_inference_steps, eta);
    case SchedulerKind::pndm:
      return make_pndm(config, num_inference_steps);
    case SchedulerKind::lms_discrete:
      return make_lms_discrete(config, num_inference_steps);
    case SchedulerKind::euler_discrete:
      return make_euler_discrete(config, num_inference_steps);
    case SchedulerKind::euler_ancestral_discrete:
      return make_euler_ancestral_discrete(config, num_inference_steps);
    case SchedulerKind::heun_discrete:
      return make_heun_discrete(config, num_inference_steps);
    case SchedulerKind::dpm_solver_multistep:
      return make_dpm_solver_multistep(config, num_inference_steps);
    case SchedulerKind::unipc_multistep:
      return make_unipc_multistep(config, num_inference_steps);
    case SchedulerKind::lcm:
      return make_lcm(config, num_inference_steps);
  }
  throw Error(ExitCode::bug, "unknown scheduler kind");
}

bool all_finite(const StepRow& row) {
  const auto finite = [](float value) { return std::isfinite(value); };
  return finite(row.to_output_sample) && finite(row.to_output_noise_pred) &&
         finite(row.saved_sample) && finite(row.saved_saved) && finite(row.saved_output) &&
         std::all_of(row.saved_history.begin(), row.saved_history.end(), finite) &&
         finite(row.next_sample) && finite(row.next_saved) && finite(row.next_output) &&
         std::all_of(row.next_history.begin(), row.next_history.end(), finite) &&
         finite(row.next_noise_pred) && finite(row.next_noise);
}

/// Fills in what the rows say about the buffers of a run.
void derive_needs(Schedule& schedule) {
  for (const StepRow& row : schedule.rows) {
    for (int k = 0; k < StepRow::kHistory; ++k) {
      const auto i = static_cast<std::size_t>(k);
      if (row.saved_history[i] != 0 || row.next_history[i] != 0) {
        schedule.history_needed = std::max(schedule.history_needed, k + 1);
      }
    }
    schedule.needs_saved = schedule.needs_saved || row.saved_saved != 0 || row.next_saved != 0;
    schedule.needs_noise = schedule.needs_noise || row.draws_noise;
  }
}

}  // namespace

void refuse_steps(const SchedulerConfig& config, int num_inference_steps, const std::string& why) {
  throw ConfigError(std::string(scheduler_class_name(config.kind)) + " of " +
                    printable(config.file) + " cannot run --num-inference-steps " +
                    std::to_string(num_inference_steps) + ": " + why +
                    "; choose another number of steps or another --scheduler");
}

Schedule make_schedule(const SchedulerConfig& config, int num_inference_steps, double eta) {
  constexpr int kMostSteps = 10'000;
  if (num_inference_steps < 1 || num_inference_steps > kMostSteps) {
    refuse_steps(config, num_inference_steps,
                 "the number must be from 1 to " + std::to_string(kMostSteps));
  }
  if (!(eta >= 0) || !std::isfinite(eta)) {
    throw ConfigError(
        "--eta must be a number of 0 or more, as it is the weight of the noise; "
        "0 is without noise, 1 is as much as DDPM");
  }
  Schedule schedule = make_tables(config, num_inference_steps, eta);
  bool finite = std::isfinite(schedule.init_noise_sigma) && !schedule.rows.empty();
  for (std::size_t i = 0; i < schedule.rows.size(); ++i) {
    finite = finite && all_finite(schedule.rows[i]) && std::isfinite(schedule.timesteps[i]) &&
             std::isfinite(schedule.input_scale[i]);
  }
  if (!finite) {
    refuse_steps(config, num_inference_steps,
                 "a step divides by zero with these options (diffusers computes NaN)");
  }
  derive_needs(schedule);
  return schedule;
}

}  // namespace diffuse
