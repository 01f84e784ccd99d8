#include <catch2/catch.hpp>
#include <cmath>
#include <string>

#include "core/base/error.hpp"
#include "core/schedulers/scheduler.hpp"

namespace diffuse::test {
namespace {

/// The message of the error that reading gives; empty if it gives none. Checks the exit code and
/// that a message of a bad file names it and is one line.
std::string refusal(const std::string& json, const char* flag = nullptr,
                    const char* class_name = "") {
  try {
    read_scheduler_config(json, "scheduler/scheduler_config.json", class_name,
                          flag == nullptr ? std::nullopt : std::optional<std::string_view>(flag));
  } catch (const InputError& error) {
    const std::string message = error.what();
    CHECK(error.code() == ExitCode::bad_model);
    CHECK(message.find("scheduler/scheduler_config.json: ") == 0);
    CHECK(message.find('\n') == std::string::npos);
    return message;
  }
  return {};
}

bool names(const std::string& message, const std::string& what) {
  return message.find(what) != std::string::npos;
}

std::string of_class(const std::string& class_name, const std::string& options) {
  return R"({"_class_name": ")" + class_name + R"(Scheduler", )" + options + "}";
}

SchedulerConfig read(const std::string& json, const char* flag = nullptr,
                     ConfigPatches patches = ConfigPatches::stable_diffusion) {
  return read_scheduler_config(
      json, "test", {}, flag == nullptr ? std::nullopt : std::optional<std::string_view>(flag),
      patches);
}

std::string refused_steps(const SchedulerConfig& config, int steps, double eta = 0) {
  try {
    make_schedule(config, steps, eta);
  } catch (const ConfigError& error) {
    CHECK(error.code() == ExitCode::usage);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("options that are known but not supported are refused by key") {
  struct Case {
    const char* class_name;
    const char* key;
    const char* value;
  };
  for (const Case& c : std::vector<Case>{
           {"EulerDiscrete", "use_beta_sigmas", "true"},
           {"LMSDiscrete", "use_beta_sigmas", "true"},
           {"DPMSolverMultistep", "use_flow_sigmas", "true"},
           {"DPMSolverMultistep", "use_dynamic_shifting", "true"},
           {"DPMSolverMultistep", "variance_type", "\"learned_range\""},
           {"DPMSolverMultistep", "algorithm_type", "\"deis\""},
           {"DPMSolverMultistep", "algorithm_type", "\"dpmsolver\""},  // with final sigma zero
           {"DPMSolverMultistep", "solver_order", "4"},
           {"DPMSolverMultistep", "solver_type", "\"rk4\""},
           {"DPMSolverMultistep", "prediction_type", "\"flow_prediction\""},
           {"UniPCMultistep", "solver_p", "{\"_class_name\": \"DDIMScheduler\"}"},
           {"UniPCMultistep", "shift_terminal", "0.1"},
           {"UniPCMultistep", "solver_order", "4"},
           {"UniPCMultistep", "disable_corrector", "[1.5]"},
           {"PNDM", "prediction_type", "\"sample\""},
           {"EulerAncestralDiscrete", "prediction_type", "\"sample\""},
           {"EulerDiscrete", "interpolation_type", "\"cubic\""},
           {"EulerDiscrete", "timestep_type", "\"other\""},
           {"EulerDiscrete", "final_sigmas_type", "\"last\""},
           {"DDIM", "beta_schedule", "\"sigmoid\""},
           {"DDIM", "beta_schedule", "\"exp\""},  // Heun alone has it
           {"DDIM", "timestep_spacing", "\"uneven\""},
           {"DDIM", "beta_start", "\"0.1\""},
           {"DDIM", "beta_end", "1.5"},
           {"DDIM", "trained_betas", "[]"},
           {"DDIM", "trained_betas", "[0.1, null]"},
           {"DDIM", "num_train_timesteps", "0"},
           {"DDIM", "num_train_timesteps", "1e300"},
           {"DDIM", "num_train_timesteps", "10.5"},
           {"DDIM", "steps_offset", "-1"},
           {"DDIM", "clip_sample", "1"},
           {"DDIM", "dynamic_thresholding_ratio", "2"},
           {"LCM", "original_inference_steps", "\"many\""},
       }) {
    INFO(c.class_name << " " << c.key << " " << c.value);
    const std::string message =
        refusal(of_class(c.class_name, "\"" + std::string(c.key) + "\": " + c.value));
    // The message about the combination names the other key of it.
    const std::string key = std::string(c.value) == "\"dpmsolver\"" ? "final_sigmas_type" : c.key;
    CHECK(names(message, "\"" + key + "\""));
  }
  CHECK(names(refusal(of_class("EulerDiscrete",
                               R"("use_karras_sigmas": true, "use_exponential_sigmas": true)")),
              "use_karras_sigmas"));
  CHECK(names(refusal(of_class("DPMSolverMultistep",
                               R"("algorithm_type": "sde-dpmsolver", "solver_order": 3,
                                  "final_sigmas_type": "sigma_min")")),
              "solver_order"));
  CHECK(names(refusal(of_class("DPMSolverMultistep",
                               R"("algorithm_type": "dpmsolver", "thresholding": true,
                                  "final_sigmas_type": "sigma_min")")),
              "thresholding"));
}

TEST_CASE("the same keys with their neutral values, and unknown keys, are accepted") {
  CHECK(refusal(of_class("UniPCMultistep",
                         R"("solver_p": null, "shift_terminal": null, "use_flow_sigmas": false,
                            "use_beta_sigmas": null, "flow_shift": 1.0, "disable_corrector": [],
                            "something_new": {"a": [1]}, "sigma_min": null)"))
            .empty());
  // Keys of other classes remain in a file without meaning.
  CHECK(refusal(of_class("DDIM", R"("use_beta_sigmas": true, "solver_p": 3)")).empty());
  CHECK(read(of_class("DPMSolverMultistep", R"("lambda_min_clipped": -Infinity)"))
            .lambda_min_clipped == -INFINITY);
  CHECK(read(of_class("DDIM", R"("num_train_timesteps": 1000.0)")).num_train_timesteps == 1000);
}

TEST_CASE("malformed files are refused") {
  for (const char* json : {"", "{", "[]", "3", "{\"_class_name\": \"DDIMScheduler\",}", "\"\\",
                           "{\"a\": Infinit}", "{\"a\": \"\xff\xfe\"}", "nan"}) {
    INFO(json);
    CHECK_FALSE(refusal(json).empty());
  }
  CHECK_FALSE(refusal(std::string(1 << 20, '[')).empty());
  CHECK_FALSE(refusal(std::string((std::size_t{16} << 20) + 1, ' ')).empty());
  CHECK(names(refusal("{\"_class_name\": \"DDIMScheduler\", \"beta_start\": \"-Infinity\"}"),
              "beta_start"));
  CHECK(names(refusal(R"({"_class_name": "DDIMScheduler", "beta_schedule": "\u001b[31m\nx"})"),
              "beta_schedule"));
  // Words of constants inside of strings stay as they are.
  CHECK(names(refusal(of_class("DDIM", R"("beta_schedule": "\"NaN")")), "NaN"));
}

TEST_CASE("the class of a folder comes from model_index.json, then from the file, then a flag") {
  const std::string ddim = of_class("DDIM", R"("beta_start": 0.001)");
  CHECK(read(ddim).kind == SchedulerKind::ddim);
  CHECK(read_scheduler_config(ddim, "test", "LMSDiscreteScheduler").kind ==
        SchedulerKind::lms_discrete);
  CHECK(names(refusal("{}"), "_class_name"));
  CHECK(names(refusal(R"({"_class_name": ["a", "b"]})"), "_class_name"));
  CHECK(names(refusal(of_class("KDPM2Discrete", R"("a": 1)")), "KDPM2DiscreteScheduler"));
  CHECK(names(refusal(of_class("KDPM2Discrete", R"("a": 1)")), "--scheduler"));
  CHECK(read(of_class("KDPM2Discrete", R"("a": 1)"), "heun").kind == SchedulerKind::heun_discrete);
  CHECK(read("{}", "unipc").kind == SchedulerKind::unipc_multistep);
  CHECK_THROWS_AS(read(ddim, "dpm++"), ConfigError);
  CHECK_THROWS_AS(read(ddim, ""), ConfigError);
  for (const std::string& flag : scheduler_flag_names()) {
    const SchedulerConfig config = read(ddim, flag.c_str());
    const std::string class_name(scheduler_class_name(config.kind));
    CHECK(read(ddim, class_name.c_str()).kind == config.kind);
    CHECK(config.beta_start == 0.001);
  }
}

TEST_CASE(
    "the pipeline's patches apply to the folder's scheduler; from_config drops default values") {
  const std::string bare = of_class("DDIM", R"("beta_start": 0.001)");
  CHECK(read(bare).steps_offset == 1);
  CHECK_FALSE(read(bare).clip_sample);
  CHECK(read(bare, nullptr, ConfigPatches::none).steps_offset == 0);
  CHECK(read(bare, nullptr, ConfigPatches::none).clip_sample);
  // Made again from its own configuration, DDIM forgets the patches of values that were defaults,
  CHECK(read(bare, "ddim").steps_offset == 0);
  CHECK(read(bare, "ddim").clip_sample);
  // and keeps those of values in the file.
  const std::string full = of_class("DDIM", R"("steps_offset": 0, "clip_sample": true)");
  CHECK(read(full, "ddim").steps_offset == 1);
  CHECK_FALSE(read(full, "ddim").clip_sample);
  CHECK(
      read(of_class("DDIM", R"("beta_end": 0.5, "_use_default_values": ["beta_end"])")).beta_end ==
      0.02);
  CHECK(read(bare, "dpmpp_2m_karras").sigma_spacing == SigmaSpacing::karras);
  CHECK(read(bare, "dpmpp_2m").sigma_spacing == SigmaSpacing::as_timesteps);
}

TEST_CASE("numbers of steps that a scheduler cannot run are refused") {
  const std::string betas = R"("beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1)";
  const SchedulerConfig ddim = read(of_class("DDIM", betas));
  CHECK_FALSE(refused_steps(ddim, 0).empty());
  CHECK_FALSE(refused_steps(ddim, -3).empty());
  CHECK_FALSE(refused_steps(ddim, 1001).empty());
  CHECK_FALSE(refused_steps(ddim, 1000).empty());  // timestep 1000 of 0 to 999, by steps_offset
  CHECK(refused_steps(ddim, 999).empty());
  CHECK_FALSE(refused_steps(ddim, 2147483647).empty());
  CHECK_FALSE(refused_steps(ddim, 10, -0.1).empty());
  CHECK_FALSE(refused_steps(ddim, 10, NAN).empty());
  CHECK_FALSE(refused_steps(ddim, 10, 50.0).empty());  // more noise than there is variance
  CHECK(refused_steps(ddim, 10, 1.0).empty());

  CHECK_FALSE(refused_steps(read(of_class("PNDM", betas)), 3).empty());  // Runge-Kutta takes four
  CHECK(refused_steps(read(of_class("PNDM", betas)), 4).empty());
  CHECK_FALSE(refused_steps(read(of_class("LCM", betas)), 51).empty());
  CHECK_FALSE(
      refused_steps(read(of_class("LCM", R"("original_inference_steps": 2000)")), 4).empty());
  // A second order step to sigma 0: diffusers divides by zero and goes on with NaN.
  CHECK_FALSE(
      refused_steps(read(of_class("UniPCMultistep", betas + R"(, "lower_order_final": false)")), 8)
          .empty());
  // Zero signal at the first step, with noise prediction.
  CHECK_FALSE(refused_steps(read(of_class("DDIM", betas + R"(, "rescale_betas_zero_snr": true,
                                            "timestep_spacing": "trailing")")),
                            8)
                  .empty());
  CHECK_THROWS_AS(make_schedule(read(of_class("DDIM", R"("trained_betas": [0.1, -0.1])")), 1, 0),
                  InputError);
}

TEST_CASE("a schedule says which buffers it needs and whether eta matters") {
  const auto needs = [](const char* flag, double eta = 0) {
    return make_schedule(read(of_class("DDIM", R"("skip_prk_steps": true)"), flag), 8, eta);
  };
  CHECK(needs("ddim").history_needed == 0);
  CHECK_FALSE(needs("ddim").needs_saved);
  CHECK_FALSE(needs("ddim").needs_noise);
  CHECK(needs("ddim", 0.5).needs_noise);
  CHECK(needs("ddim").uses_eta);
  CHECK_FALSE(needs("euler", 0.5).uses_eta);
  CHECK_FALSE(needs("euler", 0.5).needs_noise);
  CHECK(needs("pndm").history_needed == 3);
  CHECK(needs("pndm").needs_saved);
  CHECK(needs("lms").history_needed == 3);
  CHECK(needs("dpmpp_2m").history_needed == 1);
  CHECK(needs("unipc").needs_saved);
  CHECK(needs("unipc").history_needed == 2);
  CHECK(needs("heun").needs_saved);
  CHECK(needs("heun").timesteps.size() == 15);
  CHECK(needs("euler_a").needs_noise);
  CHECK(needs("lcm").needs_noise);
  const SchedulerConfig lcm = read(of_class("LCM", R"("steps_offset": 1)"));
  CHECK_FALSE(make_schedule(lcm, 1, 0).needs_noise);  // none in the last step
}

TEST_CASE("display names are those that other programs write") {
  const std::string sd15 = of_class("PNDM", R"("skip_prk_steps": true)");
  CHECK(sampler_display_name(read(sd15)) == "PLMS");
  CHECK(sampler_display_name(read(sd15, "euler_a")) == "Euler a");
  CHECK(sampler_display_name(read(sd15, "dpmpp_2m_karras")) == "DPM++ 2M");
  CHECK(schedule_type_display_name(read(sd15, "dpmpp_2m_karras")) == "Karras");
  CHECK(schedule_type_display_name(read(sd15)) == "Automatic");
  CHECK(sampler_display_name(read(of_class("DPMSolverMultistep",
                                           R"("algorithm_type": "sde-dpmsolver++",
                                              "solver_order": 3)"))) == "DPM++ 3M SDE");
}

}  // namespace diffuse::test
