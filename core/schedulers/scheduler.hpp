#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/step_row.hpp"

namespace diffuse {

/// The schedulers of the list, named as diffusers' classes without the word "Scheduler".
enum class SchedulerKind {
  ddim,
  pndm,
  lms_discrete,
  euler_discrete,
  euler_ancestral_discrete,
  heun_discrete,
  dpm_solver_multistep,
  unipc_multistep,
  lcm,
};

enum class PredictionType { epsilon, v_prediction, sample };
enum class BetaSchedule { linear, scaled_linear, squaredcos_cap_v2, exp };
enum class TimestepSpacing { leading, linspace, trailing };
/// How the sigmas of the steps are spread; `lu` is `use_lu_lambdas`.
enum class SigmaSpacing { as_timesteps, karras, exponential, lu };
enum class AlgorithmType { dpmsolver, dpmsolver_pp, sde_dpmsolver, sde_dpmsolver_pp };
enum class SolverType { midpoint, heun, bh1, bh2 };

/// The options of one scheduler, every key of diffusers' class by its name. A key that the class
/// does not have keeps a value that is not read.
struct SchedulerConfig {
  SchedulerKind kind = SchedulerKind::ddim;
  std::string file;  ///< name of the configuration file, for messages

  int num_train_timesteps = 1000;
  double beta_start = 0.0001;
  double beta_end = 0.02;
  BetaSchedule beta_schedule = BetaSchedule::linear;
  std::vector<double> trained_betas;  ///< empty: none
  bool rescale_betas_zero_snr = false;
  PredictionType prediction_type = PredictionType::epsilon;
  TimestepSpacing timestep_spacing = TimestepSpacing::linspace;
  int steps_offset = 0;

  bool clip_sample = false;
  double clip_sample_range = 1.0;
  bool thresholding = false;
  double dynamic_thresholding_ratio = 0.995;
  double sample_max_value = 1.0;

  bool set_alpha_to_one = true;                             // DDIM, PNDM
  bool skip_prk_steps = false;                              // PNDM
  SigmaSpacing sigma_spacing = SigmaSpacing::as_timesteps;  // the sigma schedulers
  std::optional<double> sigma_min;
  std::optional<double> sigma_max;
  bool final_sigma_zero = true;      // final_sigmas_type: "zero", else "sigma_min"
  bool interpolate_log = false;      // Euler: interpolation_type "log_linear"
  bool continuous_timestep = false;  // Euler: timestep_type "continuous"

  int solver_order = 2;  // DPM-Solver, UniPC
  AlgorithmType algorithm_type = AlgorithmType::dpmsolver_pp;
  SolverType solver_type = SolverType::midpoint;
  bool lower_order_final = true;
  bool euler_at_final = false;
  double lambda_min_clipped = 0;  ///< log SNR, may be minus infinity (the default)
  bool predict_x0 = true;         // UniPC
  std::vector<int> disable_corrector;

  int original_inference_steps = 50;  // LCM
  double timestep_scaling = 10.0;
};

/// Which pipeline the folder belongs to. StableDiffusionPipeline changes old configurations when it
/// is built (`steps_offset` becomes 1, `clip_sample` false), LatentConsistencyModelPipeline does
/// not.
enum class ConfigPatches { none, stable_diffusion };

/// Reads the text of a `scheduler_config.json`.
/// Without `scheduler`: the class is `class_name` (the entry of `model_index.json`), or the file's
/// own `_class_name` where that is empty; keys that the file lacks take the defaults of the class;
/// then the pipeline's patches apply.
/// With `scheduler` (a name of `scheduler_flag_names()` or a diffusers class name): what
/// `X.from_config(pipe.scheduler.config)` gives. Keys of the file that X has, with the patches,
/// are taken over; all others take X's defaults, also where the first class had another default
/// (diffusers keeps those in `_use_default_values`). `dpmpp_2m_karras` adds
/// `use_karras_sigmas=True`.
/// Keys that the class does not know are passed over, as diffusers does.
/// Throws InputError(bad_model) naming `file` and the key for malformed JSON, a value of the wrong
/// type or range, and options that are known but not supported; ConfigError for an unknown
/// `scheduler`. Source: diffusers `configuration_utils.py`.
SchedulerConfig read_scheduler_config(std::string_view json, std::string_view file,
                                      std::string_view class_name = {},
                                      std::optional<std::string_view> scheduler = std::nullopt,
                                      ConfigPatches patches = ConfigPatches::stable_diffusion);

/// The tables of one run, made before the loop. One entry per call of the UNet.
struct Schedule {
  std::vector<double> timesteps;   ///< as handed to the UNet; fractional where diffusers' are
  std::vector<float> input_scale;  ///< the sample is multiplied by this before the UNet
  std::vector<StepRow> rows;
  float init_noise_sigma = 1;  ///< the noise is multiplied by this to make the first sample
  int history_needed = 0;      ///< how many earlier outputs the rows read
  bool needs_saved = false;    ///< some row reads or writes the saved sample
  bool needs_noise = false;    ///< some row draws noise
  bool uses_eta = false;       ///< the scheduler has an eta; the others ignore it silently
};

/// Tables of a run of `num_inference_steps` steps, equal to what diffusers' `set_timesteps` and
/// `step` compute (see the file of each scheduler for its source). eta: DDIM's weight of the noise,
/// 0 deterministic, 1 as much as DDPM.
/// Throws ConfigError if the scheduler cannot run that many steps (diffusers fails or computes
/// NaN).
Schedule make_schedule(const SchedulerConfig& config, int num_inference_steps, double eta);

/// Names that `--scheduler` takes, in the order of the help text, without the class names.
const std::vector<std::string>& scheduler_flag_names();

/// The class name in diffusers, e.g. "EulerDiscreteScheduler".
std::string_view scheduler_class_name(SchedulerKind kind);

/// What other programs call the scheduler in a picture's metadata, e.g. "DPM++ 2M SDE", "Euler a",
/// "PLMS", and its schedule type, e.g. "Karras"; empty if there is nothing to say.
std::string sampler_display_name(const SchedulerConfig& config);
std::string schedule_type_display_name(const SchedulerConfig& config);

}  // namespace diffuse
