#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "core/schedulers/scheduler.hpp"
#include "tests/unit/schedulers/dummy_loop.hpp"

// The figures that diffusers' own scheduler tests assert (tests/schedulers/test_scheduler_*.py,
// `full_loop`): sum and mean of |sample| after ten steps with the model sample * t / (t + 1).

namespace diffuse::test {
namespace {

struct FullLoop {
  const char* what;
  const char* config;
  double sum;  ///< negative: the test asserts only the mean
  double mean;
  int steps = 10;
  /// How the test is written: it hands the scaled sample, not the sample itself, to `step`.
  bool steps_scaled_sample = false;
};

constexpr int kBatch = 4;
constexpr int kElements = 3 * 8 * 8;

#define DIFFUSE_LINEAR "\"beta_start\":0.0001,\"beta_end\":0.02,\"beta_schedule\":\"linear\""
#define DIFFUSE_DDIM "\"_class_name\":\"DDIMScheduler\",\"clip_sample\":true,"
#define DIFFUSE_PNDM "\"_class_name\":\"PNDMScheduler\","
#define DIFFUSE_1100 DIFFUSE_LINEAR ",\"num_train_timesteps\":1100,\"_class_name\":"
#define DIFFUSE_DPM                                                              \
  "\"_class_name\":\"DPMSolverMultistepScheduler\",\"lower_order_final\":false," \
  "\"lambda_min_clipped\":-Infinity,\"variance_type\":null,"                     \
  "\"final_sigmas_type\":\"sigma_min\"," DIFFUSE_LINEAR
#define DIFFUSE_UNIPC                                                          \
  "\"_class_name\":\"UniPCMultistepScheduler\",\"final_sigmas_type\":\"sigma_" \
  "min\"," DIFFUSE_LINEAR
#define DIFFUSE_V ",\"prediction_type\":\"v_prediction\"}"
#define DIFFUSE_BETA_01 "\"beta_start\":0.01,\"beta_end\":0.02,\"beta_schedule\":\"linear\""

const std::vector<FullLoop> kLoops{
    {"DDIM", "{" DIFFUSE_DDIM DIFFUSE_LINEAR "}", 172.0067, 0.223967},
    {"DDIM v", "{" DIFFUSE_DDIM DIFFUSE_LINEAR DIFFUSE_V, 52.5302, 0.0684},
    {"DDIM set_alpha_to_one", "{" DIFFUSE_DDIM DIFFUSE_BETA_01 ",\"set_alpha_to_one\":true}",
     149.8295, 0.1951},
    {"DDIM no set_alpha_to_one", "{" DIFFUSE_DDIM DIFFUSE_BETA_01 ",\"set_alpha_to_one\":false}",
     149.0784, 0.1941},
    {"PNDM", "{" DIFFUSE_PNDM DIFFUSE_LINEAR "}", 198.1318, 0.2580},
    {"PNDM v", "{" DIFFUSE_PNDM DIFFUSE_LINEAR DIFFUSE_V, 67.3986, 0.0878},
    {"PNDM set_alpha_to_one", "{" DIFFUSE_PNDM DIFFUSE_BETA_01 ",\"set_alpha_to_one\":true}",
     230.0399, 0.2995},
    {"PNDM no set_alpha_to_one", "{" DIFFUSE_PNDM DIFFUSE_BETA_01 ",\"set_alpha_to_one\":false}",
     186.9482, 0.2434},
    {"Euler", "{" DIFFUSE_1100 "\"EulerDiscreteScheduler\"}", 10.0807, 0.0131, 10, true},
    {"Euler v", "{" DIFFUSE_1100 "\"EulerDiscreteScheduler\"" DIFFUSE_V, 0.0002, 2.2676e-06, 10,
     true},
    {"Euler karras", "{" DIFFUSE_1100 "\"EulerDiscreteScheduler\",\"use_karras_sigmas\":true}",
     124.52299499511719, 0.16213932633399963, 10, true},
    {"Euler a", "{" DIFFUSE_1100 "\"EulerAncestralDiscreteScheduler\"}", 152.3192, 0.1983, 10,
     true},
    {"Euler a v", "{" DIFFUSE_1100 "\"EulerAncestralDiscreteScheduler\"" DIFFUSE_V, 108.4439,
     0.1412, 10, true},
    {"LMS", "{" DIFFUSE_1100 "\"LMSDiscreteScheduler\"}", 1006.388, 1.31, 10, true},
    {"LMS v", "{" DIFFUSE_1100 "\"LMSDiscreteScheduler\"" DIFFUSE_V, 0.0017, 2.2676e-06, 10, true},
    {"LMS karras", "{" DIFFUSE_1100 "\"LMSDiscreteScheduler\",\"use_karras_sigmas\":true}",
     3812.9927, 4.9648, 10, true},
    {"Heun", "{" DIFFUSE_1100 "\"HeunDiscreteScheduler\"}", 0.1233, 0.0002, 10, true},
    {"Heun v", "{" DIFFUSE_1100 "\"HeunDiscreteScheduler\"" DIFFUSE_V, 4.6934e-07, 6.1112e-10, 10,
     true},
    {"Heun karras", "{" DIFFUSE_1100 "\"HeunDiscreteScheduler\",\"use_karras_sigmas\":true}",
     0.00015, 1.9869554535034695e-07, 10, true},
    {"DPM++ 2M", "{" DIFFUSE_DPM "}", -1, 0.3301},
    {"DPM++ 2M thresholding",
     "{" DIFFUSE_DPM
     ",\"thresholding\":true,\"dynamic_thresholding_ratio\":0.87,\"sample_max_value\":0.5}",
     -1, 1.1364},
    {"DPM++ 2M v", "{" DIFFUSE_DPM DIFFUSE_V, -1, 0.2251},
    {"DPM++ 2M karras v", "{" DIFFUSE_DPM ",\"use_karras_sigmas\":true" DIFFUSE_V, -1, 0.2096},
    {"DPM++ 2M lu v", "{" DIFFUSE_DPM ",\"use_lu_lambdas\":true" DIFFUSE_V, -1, 0.1554},
    {"UniPC", "{" DIFFUSE_UNIPC "}", -1, 0.2464},
    {"UniPC karras", "{" DIFFUSE_UNIPC ",\"use_karras_sigmas\":true}", -1, 0.2925},
    {"UniPC v", "{" DIFFUSE_UNIPC DIFFUSE_V, -1, 0.1014},
    {"UniPC karras v", "{" DIFFUSE_UNIPC ",\"use_karras_sigmas\":true" DIFFUSE_V, -1, 0.1966},
    {"LCM, one step", R"({"_class_name":"LCMScheduler"})", 18.7097, 0.0244, 1},
    {"LCM", R"({"_class_name":"LCMScheduler"})", 197.7616, 0.2575},
};

/// The dummy sample of the tests: element (b, c, h, w) is (((c 8 + h) 8 + w) 4 + b) / 768.
std::vector<reference::StepState<double>> first_states(const Schedule& schedule,
                                                       bool steps_scaled_sample) {
  std::vector<reference::StepState<double>> states;
  for (int b = 0; b < kBatch; ++b) {
    std::vector<double> sample;
    for (int i = 0; i < kElements; ++i) {
      const double value = static_cast<double>(i * kBatch + b) / (kBatch * kElements);
      sample.push_back(steps_scaled_sample ? value * static_cast<double>(schedule.init_noise_sigma)
                                           : value);
    }
    states.push_back(undefined_state(sample));
  }
  return states;
}

/// The noise of the tests is one draw for the whole batch.
std::vector<double> draw(NoiseGenerator& generator, const StepRow& row) {
  if (!row.draws_noise) return std::vector<double>(kBatch * kElements);
  const std::vector<float> drawn = generator.normals(kBatch * kElements);
  return {drawn.begin(), drawn.end()};
}

}  // namespace

TEST_CASE("the full loops of diffusers' own tests give their sums and means") {
  for (const FullLoop& loop : kLoops) {
    INFO(loop.what);
    const SchedulerConfig config =
        read_scheduler_config(loop.config, "test", {}, std::nullopt, ConfigPatches::none);
    const Schedule schedule = make_schedule(config, loop.steps, 0.0);
    auto states = first_states(schedule, loop.steps_scaled_sample);
    TorchCpuGenerator generator(0);
    for (std::size_t i = 0; i < schedule.rows.size(); ++i) {
      const double t = schedule.timesteps[i];
      const std::vector<double> noise = draw(generator, schedule.rows[i]);
      for (std::size_t b = 0; b < kBatch; ++b) {
        auto& state = states[b];
        std::vector<double> noise_pred(state.sample);
        for (std::size_t k = 0; k < noise_pred.size(); ++k) {
          if (loop.steps_scaled_sample) {
            state.sample[k] *= static_cast<double>(schedule.input_scale[i]);
          }
          noise_pred[k] = state.sample[k] * t / (t + 1);
        }
        const std::span<const double> own(noise.data() + b * kElements, kElements);
        reference::apply_step_row<double>(schedule.rows[i], noise_pred, own, state);
      }
    }
    double sum = 0;
    for (const auto& state : states) {
      for (const double value : state.sample) sum += std::abs(value);
    }
    // The tolerances are those of diffusers' tests, whose figures are of several versions.
    if (loop.sum >= 0) CHECK(sum == Approx(loop.sum).epsilon(0).margin(1e-2));
    CHECK(sum / (kBatch * kElements) == Approx(loop.mean).epsilon(0).margin(1e-3));
  }
}

}  // namespace diffuse::test
