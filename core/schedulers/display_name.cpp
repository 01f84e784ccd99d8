#include "core/schedulers/scheduler.hpp"

namespace diffuse {

std::string sampler_display_name(const SchedulerConfig& config) {
  switch (config.kind) {
    case SchedulerKind::ddim:
      return "DDIM";
    case SchedulerKind::pndm:
      return config.skip_prk_steps ? "PLMS" : "PNDM";
    case SchedulerKind::lms_discrete:
      return "LMS";
    case SchedulerKind::euler_discrete:
      return "Euler";
    case SchedulerKind::euler_ancestral_discrete:
      return "Euler a";
    case SchedulerKind::heun_discrete:
      return "Heun";
    case SchedulerKind::unipc_multistep:
      return "UniPC";
    case SchedulerKind::lcm:
      return "LCM";
    case SchedulerKind::dpm_solver_multistep:
      break;
  }
  const std::string order = std::to_string(config.solver_order) + "M";
  switch (config.algorithm_type) {
    case AlgorithmType::dpmsolver_pp:
      return "DPM++ " + order;
    case AlgorithmType::sde_dpmsolver_pp:
      return "DPM++ " + order + " SDE";
    case AlgorithmType::dpmsolver:
      return "DPM " + order;
    case AlgorithmType::sde_dpmsolver:
      return "DPM " + order + " SDE";
  }
  return "DPM++ " + order;
}

std::string schedule_type_display_name(const SchedulerConfig& config) {
  const bool spreads_sigmas = config.kind == SchedulerKind::lms_discrete ||
                              config.kind == SchedulerKind::euler_discrete ||
                              config.kind == SchedulerKind::heun_discrete ||
                              config.kind == SchedulerKind::dpm_solver_multistep ||
                              config.kind == SchedulerKind::unipc_multistep;
  if (!spreads_sigmas) return "Automatic";
  switch (config.sigma_spacing) {
    case SigmaSpacing::karras:
      return "Karras";
    case SigmaSpacing::exponential:
      return "Exponential";
    case SigmaSpacing::lu:
    case SigmaSpacing::as_timesteps:
      break;
  }
  return "Automatic";
}

}  // namespace diffuse
