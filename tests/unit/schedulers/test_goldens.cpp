#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "core/schedulers/scheduler.hpp"
#include "tests/support/compare.hpp"
#include "tests/unit/schedulers/dummy_loop.hpp"

// Whole loops with a dummy model against diffusers: schedulers x options, loaded and exchanged as
// StableDiffusionPipeline and from_config do it. Made by
// scripts/reference/make_scheduler_goldens.py.

namespace diffuse::test {
namespace {

using Json = nlohmann::json;

/// Tolerances, as parts of the largest value. The promise for whole loops is 1e-5; the worst of all
/// cases was 3.3e-6 (UniPC of order 3 with noise prediction).
constexpr double kLatents = 5e-6;
/// Zero terminal SNR starts the sigma schedulers at sigma 4096, where one unit in the last place of
/// diffusers' own float32 samples is 2.4e-4, and the first step subtracts almost all of it.
constexpr double kLatentsFromHugeSigma = 2e-5;
/// Along the way, where the sample is larger than at the end.
constexpr double kTrace = 1e-5;
constexpr double kTraceFromHugeSigma = 1e-4;
/// Fractional timesteps are read off a float32 table of log sigma, and torch's float32 square root
/// is not the nearest number everywhere (torch 2.15 on AMD Zen 5): two float32 units of 1000.
constexpr double kFractionalTimestep = 1.3e-4;

const Json& goldens() {
  static const Json json = [] {
    std::ifstream file(DIFFUSE_TEST_DATA "/schedulers/goldens.json");
    return Json::parse(file);
  }();
  return json;
}

struct Golden {
  const Json& json;
  SchedulerConfig config;
  Schedule schedule;
};

Golden load(const Json& json) {
  const auto flag = json["flag"].get<std::string>();
  const auto patches =
      json["patches"] == "none" ? ConfigPatches::none : ConfigPatches::stable_diffusion;
  Golden golden{json, {}, {}};
  golden.config = read_scheduler_config(
      json["config"].get<std::string>(), "scheduler_config.json", {},
      flag.empty() ? std::nullopt : std::optional<std::string_view>(flag), patches);
  golden.schedule = make_schedule(golden.config, json["steps"].get<int>(), json["eta"]);
  return golden;
}

template <class T>
std::vector<T> numbers(const Json& json) {
  return json.get<std::vector<T>>();
}

/// Runs the loop of the script in the arithmetic of T; compares all along the way. Returns the
/// largest difference over the largest value of the final sample.
template <class T>
double check_loop(const Golden& golden) {
  const Schedule& schedule = golden.schedule;
  TorchCpuGenerator generator(42);
  const std::vector<float> pattern = TorchCpuGenerator(7).normals(60);
  const std::vector<float> first = generator.normals(60);
  auto state = undefined_state(std::vector<T>(first.begin(), first.end()));
  for (T& value : state.sample) value *= static_cast<T>(schedule.init_noise_sigma);
  const auto want = numbers<double>(golden.json["sample"]);
  const bool huge_sigma = schedule.init_noise_sigma > 1000;
  const double trace_tolerance = huge_sigma ? kTraceFromHugeSigma : kTrace;

  for (std::size_t i = 0; i < schedule.rows.size(); ++i) {
    const double swing = 0.4 * std::cos(schedule.timesteps[i] * 0.005);
    std::vector<T> noise_pred(state.sample.size());
    for (std::size_t k = 0; k < noise_pred.size(); ++k) {
      noise_pred[k] =
          static_cast<T>(0.6) * state.sample[k] * static_cast<T>(schedule.input_scale[i]) +
          static_cast<T>(swing) * static_cast<T>(pattern[k]);
    }
    step(schedule, i, noise_pred, generator, state);
    const double traced = golden.json["trace"][i];
    CHECK(std::abs(static_cast<double>(state.sample[1]) - traced) <=
          trace_tolerance * (1 + std::abs(traced)));
  }
  const Comparison result =
      compare(std::span<const T>(state.sample),
              std::span<const T>(std::vector<T>(want.begin(), want.end())), 1e9, 0);
  CHECK(result.ok);
  const double error = result.worst_absolute / result.largest_value;
  CHECK(error <= (huge_sigma ? kLatentsFromHugeSigma : kLatents));
  return error;
}

}  // namespace

TEST_CASE("tables and whole loops equal diffusers, for all schedulers and options") {
  REQUIRE(goldens()["cases"].size() > 250);
  std::map<std::string, double> worst;
  for (const Json& json : goldens()["cases"]) {
    INFO(json["class"] << " flag '" << json["flag"] << "' steps " << json["steps"] << " config "
                       << json["config"]);
    const Golden golden = load(json);
    CHECK(scheduler_class_name(golden.config.kind) == json["class"]);
    const auto timesteps = numbers<double>(json["timesteps"]);
    const bool fractional = std::any_of(timesteps.begin(), timesteps.end(),
                                        [](double t) { return t != std::floor(t); });
    const Comparison same_timesteps =
        compare(std::span<const double>(golden.schedule.timesteps),
                std::span<const double>(timesteps), fractional ? kFractionalTimestep : 0, 0);
    INFO("timesteps " << same_timesteps.what);
    CHECK(same_timesteps.ok);
    auto scales = numbers<float>(json["input_scale"]);
    if (scales.empty()) scales.assign(timesteps.size(), 1.0F);  // left out where all are 1
    CHECK(compare(std::span<const float>(golden.schedule.input_scale),
                  std::span<const float>(scales), 0, 3e-7)
              .ok);
    CHECK(static_cast<double>(golden.schedule.init_noise_sigma) ==
          Approx(json["init_noise_sigma"].get<double>()).epsilon(2e-7));
    if (!same_timesteps.ok) continue;
    double& entry = worst[json["class"].get<std::string>()];
    entry = std::max({entry, check_loop<float>(golden), check_loop<double>(golden)});
  }
  for (const auto& [name, error] : worst) {
    INFO(name);
    CHECK(error > 0);  // the loops ran
  }
}

}  // namespace diffuse::test
