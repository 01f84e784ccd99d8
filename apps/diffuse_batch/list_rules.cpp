#include "apps/diffuse_batch/list_rules.hpp"

#include <map>
#include <memory>
#include <utility>

#include "apps/diffuse_batch/settle.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/stable_diffusion.hpp"

namespace diffuse {
namespace {

constexpr int kTold = 20;

/// Judges lines against the model; schedules are tried once for each pair of name and steps.
class Judge {
 public:
  explicit Judge(const RunSettings& settings) : settings_(settings) {}

  std::string problem_of(const PromptFields& fields) {
    std::string problem;
    const auto add = [&problem](const std::string& what) {
      if (!what.empty()) problem += (problem.empty() ? "" : ", ") + what;
    };
    if (fields.width) add(size_problem("width", *fields.width));
    if (fields.height) add(size_problem("height", *fields.height));
    if (fields.scheduler || fields.num_inference_steps) {
      const Options& o = settings_.options;
      add(schedule_problem(fields.scheduler.value_or(o.scheduler),
                           fields.num_inference_steps.value_or(o.num_inference_steps)));
    }
    return problem;
  }

 private:
  [[nodiscard]] std::string size_problem(const char* key, int size) const {
    const int factor = settings_.scale_factor;
    if (factor < 1 || size % factor == 0) return {};
    return std::string(key) + " " + std::to_string(size) + " is no multiple of " +
           std::to_string(factor) + ", the factor of this model's autoencoder";
  }

  std::string schedule_problem(const std::string& scheduler, int steps) {
    if (settings_.scheduler_file.json.empty()) return {};  // --device null runs no scheduler
    const auto [known, is_new] = known_.try_emplace({scheduler, steps});
    if (!is_new) return known->second;
    try {
      const SchedulerConfig config =
          read_scheduler(settings_.scheduler_file, settings_.pipeline_class, scheduler);
      (void)make_schedule(config, steps, settings_.options.eta);
    } catch (const Error& error) {
      known->second = error.what();
    }
    return known->second;
  }

  const RunSettings& settings_;
  std::map<std::pair<std::string, int>, std::string> known_;
};

}  // namespace

ListRules list_rules(const Options& options) {
  ListRules rules;
  rules.format = list_format(options.input_format, options.prompts);
  rules.schedulers = scheduler_names();
  rules.keep_going = options.keep_going;
  return rules;
}

ExpandSettings expand_settings(const RunSettings& settings) {
  const Options& o = settings.options;
  ExpandSettings expand;
  expand.settings = job_template(o);
  expand.base_seed = settings.base_seed;
  expand.num_images_per_prompt = o.num_images_per_prompt;
  expand.name_pattern = o.name_pattern;
  expand.shard_size = o.shard_size;
  expand.extension = o.output_type == "latent" ? ".safetensors" : ".png";
  return expand;
}

void check_lines(std::span<PromptEntry> lines, const RunSettings& settings, bool keep_going) {
  Judge judge(settings);
  std::string all;
  int count = 0;
  for (PromptEntry& line : lines) {
    if (!line.fields || !line.fields->mistake.empty()) continue;
    std::string problem = judge.problem_of(*line.fields);
    if (problem.empty()) continue;
    if (keep_going) {
      auto fields = std::make_shared<PromptFields>(*line.fields);
      fields->mistake = std::move(problem);
      line.fields = std::move(fields);
    } else if (++count <= kTold) {
      all += (all.empty() ? "line " : "; line ") + std::to_string(line.line) + ": " + problem;
    }
  }
  if (count == 0) return;
  if (count > kTold) all += "; and " + std::to_string(count - kTold) + " more";
  throw InputError(ExitCode::bad_list,
                   "prompt list '" + printable(settings.options.prompts) +
                       "' asks for what this model cannot do, so nothing is rendered: " + all +
                       "; correct them and start again");
}

}  // namespace diffuse
