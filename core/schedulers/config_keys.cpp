#include "core/schedulers/config_keys.hpp"

#include <array>
#include <limits>

namespace diffuse {
namespace {

using Value = ConfigValue;
using Config = SchedulerConfig;

constexpr unsigned bit(SchedulerKind kind) { return 1U << static_cast<unsigned>(kind); }

constexpr unsigned kDdim = bit(SchedulerKind::ddim);
constexpr unsigned kPndm = bit(SchedulerKind::pndm);
constexpr unsigned kLms = bit(SchedulerKind::lms_discrete);
constexpr unsigned kEuler = bit(SchedulerKind::euler_discrete);
constexpr unsigned kEulerAncestral = bit(SchedulerKind::euler_ancestral_discrete);
constexpr unsigned kHeun = bit(SchedulerKind::heun_discrete);
constexpr unsigned kDpmSolver = bit(SchedulerKind::dpm_solver_multistep);
constexpr unsigned kUniPc = bit(SchedulerKind::unipc_multistep);
constexpr unsigned kLcm = bit(SchedulerKind::lcm);
constexpr unsigned kAll = 0x1FF;
constexpr unsigned kSpreadSigmas = kLms | kEuler | kHeun | kDpmSolver | kUniPc;
constexpr unsigned kMultistep = kDpmSolver | kUniPc;
constexpr unsigned kThresholding = kDdim | kMultistep | kLcm;

constexpr int kMostTimesteps = 100'000;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

void read_beta_schedule(const Value& value, Config& config) {
  std::vector<std::pair<std::string_view, BetaSchedule>> choices{
      {"linear", BetaSchedule::linear},
      {"scaled_linear", BetaSchedule::scaled_linear},
      {"squaredcos_cap_v2", BetaSchedule::squaredcos_cap_v2}};
  if (config.kind == SchedulerKind::heun_discrete) choices.emplace_back("exp", BetaSchedule::exp);
  config.beta_schedule = value.choice(choices);
}

void read_prediction_type(const Value& value, Config& config) {
  std::vector<std::pair<std::string_view, PredictionType>> choices{
      {"epsilon", PredictionType::epsilon}, {"v_prediction", PredictionType::v_prediction}};
  // PNDM and Euler ancestral cannot do "sample" in diffusers either.
  if (config.kind != SchedulerKind::pndm &&
      config.kind != SchedulerKind::euler_ancestral_discrete) {
    choices.emplace_back("sample", PredictionType::sample);
  }
  if (config.kind == SchedulerKind::euler_discrete) {
    choices.emplace_back("original_sample", PredictionType::sample);
  }
  config.prediction_type = value.choice(choices);
}

void read_timestep_spacing(const Value& value, Config& config) {
  config.timestep_spacing =
      value.choice<TimestepSpacing>({{"leading", TimestepSpacing::leading},
                                     {"linspace", TimestepSpacing::linspace},
                                     {"trailing", TimestepSpacing::trailing}});
}

/// Each of the two solvers takes the other's types for its own default.
void read_solver_type(const Value& value, Config& config) {
  if (config.kind == SchedulerKind::dpm_solver_multistep) {
    config.solver_type = value.choice<SolverType>({{"midpoint", SolverType::midpoint},
                                                   {"heun", SolverType::heun},
                                                   {"logrho", SolverType::midpoint},
                                                   {"bh1", SolverType::midpoint},
                                                   {"bh2", SolverType::midpoint}});
  } else {
    config.solver_type = value.choice<SolverType>({{"bh1", SolverType::bh1},
                                                   {"bh2", SolverType::bh2},
                                                   {"midpoint", SolverType::bh2},
                                                   {"heun", SolverType::bh2},
                                                   {"logrho", SolverType::bh2}});
  }
}

void read_algorithm_type(const Value& value, Config& config) {
  config.algorithm_type =
      value.choice<AlgorithmType>({{"dpmsolver++", AlgorithmType::dpmsolver_pp},
                                   {"sde-dpmsolver++", AlgorithmType::sde_dpmsolver_pp},
                                   {"dpmsolver", AlgorithmType::dpmsolver},
                                   {"sde-dpmsolver", AlgorithmType::sde_dpmsolver}});
}

void read_exponential(const Value& value, Config& config) {
  if (value.boolean()) config.sigma_spacing = SigmaSpacing::exponential;
}

void read_lu(const Value& value, Config& config) {
  if (value.boolean()) config.sigma_spacing = SigmaSpacing::lu;
}

void read_karras(const Value& value, Config& config) {
  if (!value.boolean()) return;
  if (config.sigma_spacing == SigmaSpacing::exponential) {
    value.refuse("cannot go together with \"use_exponential_sigmas\"");
  }
  config.sigma_spacing = SigmaSpacing::karras;
}

std::optional<double> optional_sigma(const Value& value) {
  if (value.is_null()) return std::nullopt;
  return value.number(1e-10, 1e10);
}

void must_be_false(const Value& value, Config& /*config*/) { value.must_be(false); }
void must_be_null(const Value& value, Config& /*config*/) { value.must_be(nullptr); }

const std::array kKeys{
    ConfigKey{
        "num_train_timesteps", kAll,
        [](const Value& v, Config& c) { c.num_train_timesteps = v.integer(1, kMostTimesteps); }},
    ConfigKey{"beta_start", kAll, [](const Value& v, Config& c) { c.beta_start = v.number(0, 1); }},
    ConfigKey{"beta_end", kAll, [](const Value& v, Config& c) { c.beta_end = v.number(0, 1); }},
    ConfigKey{"beta_schedule", kAll, read_beta_schedule},
    ConfigKey{"trained_betas", kAll,
              [](const Value& v, Config& c) { c.trained_betas = v.numbers(kMostTimesteps); }},
    ConfigKey{"prediction_type", kAll, read_prediction_type},
    ConfigKey{"timestep_spacing", kAll, read_timestep_spacing},
    ConfigKey{"steps_offset", kAll,
              [](const Value& v, Config& c) { c.steps_offset = v.integer(0, kMostTimesteps); }},
    ConfigKey{"rescale_betas_zero_snr", kDdim | kEuler | kEulerAncestral | kMultistep | kLcm,
              [](const Value& v, Config& c) { c.rescale_betas_zero_snr = v.boolean(); }},

    ConfigKey{"clip_sample", kDdim | kHeun | kLcm,
              [](const Value& v, Config& c) { c.clip_sample = v.boolean(); }},
    ConfigKey{"clip_sample_range", kDdim | kHeun | kLcm,
              [](const Value& v, Config& c) { c.clip_sample_range = v.number(1e-6, 1e6); }},
    ConfigKey{"thresholding", kThresholding,
              [](const Value& v, Config& c) { c.thresholding = v.boolean(); }},
    ConfigKey{"dynamic_thresholding_ratio", kThresholding,
              [](const Value& v, Config& c) { c.dynamic_thresholding_ratio = v.number(1e-6, 1); }},
    ConfigKey{"sample_max_value", kThresholding,
              [](const Value& v, Config& c) { c.sample_max_value = v.number(1e-6, 1e6); }},
    ConfigKey{"set_alpha_to_one", kDdim | kPndm,
              [](const Value& v, Config& c) { c.set_alpha_to_one = v.boolean(); }},
    ConfigKey{"skip_prk_steps", kPndm,
              [](const Value& v, Config& c) { c.skip_prk_steps = v.boolean(); }},

    // karras is read after the spreads that it excludes or goes before.
    ConfigKey{"use_exponential_sigmas", kSpreadSigmas, read_exponential},
    ConfigKey{"use_lu_lambdas", kDpmSolver, read_lu},
    ConfigKey{"use_karras_sigmas", kSpreadSigmas, read_karras},
    ConfigKey{"use_beta_sigmas", kSpreadSigmas, must_be_false},
    ConfigKey{"use_flow_sigmas", kMultistep, must_be_false},
    ConfigKey{"use_dynamic_shifting", kMultistep, must_be_false},
    ConfigKey{"shift_terminal", kUniPc, must_be_null},
    // Only Euler and UniPC take these two, but diffusers looks for them in the configuration of
    // every class, where they remain from the scheduler that a folder was saved with.
    ConfigKey{"sigma_min", kSpreadSigmas,
              [](const Value& v, Config& c) { c.sigma_min = optional_sigma(v); }},
    ConfigKey{"sigma_max", kSpreadSigmas,
              [](const Value& v, Config& c) { c.sigma_max = optional_sigma(v); }},
    ConfigKey{"final_sigmas_type", kEuler | kMultistep,
              [](const Value& v, Config& c) {
                c.final_sigma_zero = v.choice<bool>({{"zero", true}, {"sigma_min", false}});
              }},
    ConfigKey{"interpolation_type", kEuler,
              [](const Value& v, Config& c) {
                c.interpolate_log = v.choice<bool>({{"linear", false}, {"log_linear", true}});
              }},
    ConfigKey{"timestep_type", kEuler,
              [](const Value& v, Config& c) {
                c.continuous_timestep = v.choice<bool>({{"discrete", false}, {"continuous", true}});
              }},

    ConfigKey{"solver_order", kMultistep,
              [](const Value& v, Config& c) { c.solver_order = v.integer(1, 3); }},
    ConfigKey{"solver_type", kMultistep, read_solver_type},
    ConfigKey{"lower_order_final", kMultistep,
              [](const Value& v, Config& c) { c.lower_order_final = v.boolean(); }},
    ConfigKey{"algorithm_type", kDpmSolver, read_algorithm_type},
    ConfigKey{"euler_at_final", kDpmSolver,
              [](const Value& v, Config& c) { c.euler_at_final = v.boolean(); }},
    ConfigKey{"lambda_min_clipped", kDpmSolver,
              [](const Value& v, Config& c) { c.lambda_min_clipped = v.number(-kInfinity, 1e6); }},
    ConfigKey{"variance_type", kDpmSolver, must_be_null},
    ConfigKey{"predict_x0", kUniPc, [](const Value& v, Config& c) { c.predict_x0 = v.boolean(); }},
    ConfigKey{"disable_corrector", kUniPc,
              [](const Value& v, Config& c) { c.disable_corrector = v.integers(kMostTimesteps); }},
    ConfigKey{"solver_p", kUniPc, must_be_null},

    ConfigKey{"original_inference_steps", kLcm,
              [](const Value& v, Config& c) {
                c.original_inference_steps = v.integer(1, kMostTimesteps);
              }},
    ConfigKey{"timestep_scaling", kLcm,
              [](const Value& v, Config& c) { c.timestep_scaling = v.number(-1e6, 1e6); }},
};

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }

SchedulerConfig default_config(SchedulerKind kind) {
  SchedulerConfig config;
  config.kind = kind;
  config.lambda_min_clipped = -kInfinity;
  switch (kind) {
    case SchedulerKind::ddim:
      config.timestep_spacing = TimestepSpacing::leading;
      config.clip_sample = true;
      break;
    case SchedulerKind::pndm:
      config.timestep_spacing = TimestepSpacing::leading;
      config.set_alpha_to_one = false;
      break;
    case SchedulerKind::heun_discrete:
      config.beta_start = 0.00085;
      config.beta_end = 0.012;
      break;
    case SchedulerKind::unipc_multistep:
      config.solver_type = SolverType::bh2;
      break;
    case SchedulerKind::lcm:
      config.timestep_spacing = TimestepSpacing::leading;
      config.beta_start = 0.00085;
      config.beta_end = 0.012;
      config.beta_schedule = BetaSchedule::scaled_linear;
      break;
    case SchedulerKind::lms_discrete:
    case SchedulerKind::euler_discrete:
    case SchedulerKind::euler_ancestral_discrete:
    case SchedulerKind::dpm_solver_multistep:
      break;
  }
  return config;
}

}  // namespace diffuse
