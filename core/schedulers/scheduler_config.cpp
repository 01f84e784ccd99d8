#include <algorithm>
#include <array>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/schedulers/config_keys.hpp"
#include "core/schedulers/config_value.hpp"
#include "core/schedulers/scheduler.hpp"

namespace diffuse {
namespace {

struct Name {
  std::string_view flag;
  std::string_view class_name;
  SchedulerKind kind;
};

constexpr std::array kNames{
    Name{"ddim", "DDIMScheduler", SchedulerKind::ddim},
    Name{"pndm", "PNDMScheduler", SchedulerKind::pndm},
    Name{"lms", "LMSDiscreteScheduler", SchedulerKind::lms_discrete},
    Name{"euler", "EulerDiscreteScheduler", SchedulerKind::euler_discrete},
    Name{"euler_a", "EulerAncestralDiscreteScheduler", SchedulerKind::euler_ancestral_discrete},
    Name{"heun", "HeunDiscreteScheduler", SchedulerKind::heun_discrete},
    Name{"dpmpp_2m", "DPMSolverMultistepScheduler", SchedulerKind::dpm_solver_multistep},
    Name{"dpmpp_2m_karras", "", SchedulerKind::dpm_solver_multistep},
    Name{"unipc", "UniPCMultistepScheduler", SchedulerKind::unipc_multistep},
    Name{"lcm", "LCMScheduler", SchedulerKind::lcm},
};

std::string all_flags() {
  std::string text;
  for (const Name& name : kNames) text += (text.empty() ? "" : ", ") + std::string(name.flag);
  return text;
}

std::optional<SchedulerKind> kind_of_class(std::string_view class_name) {
  for (const Name& name : kNames) {
    if (!class_name.empty() && name.class_name == class_name) return name.kind;
  }
  return std::nullopt;
}

/// The class that the folder names, by `model_index.json` or by the file itself.
std::string folder_class(const nlohmann::json& json, std::string_view class_name) {
  if (!class_name.empty()) return std::string(class_name);
  const auto found = json.find("_class_name");
  if (found == json.end() || !found->is_string()) return {};
  return found->get<std::string>();
}

/// Leaves out the keys that the file marks as defaults, as `extract_init_dict` does.
void drop_default_values(nlohmann::json& json) {
  const auto marked = json.find("_use_default_values");
  if (marked == json.end()) return;
  const nlohmann::json keys = *marked;
  json.erase(marked);
  if (!keys.is_array()) return;
  for (const auto& key : keys) {
    if (key.is_string()) json.erase(key.get<std::string>());
  }
}

/// What the folder's own scheduler and the pipeline change in the configuration before another
/// scheduler is made from it. Only keys of the file count: all others are default values, which
/// `from_config` leaves out.
void apply_first_scheduler(nlohmann::json& json, std::string_view class_name,
                           ConfigPatches patches) {
  const auto solver = json.find("solver_type");
  if (solver != json.end() && solver->is_string()) {
    const auto type = solver->get<std::string>();
    const bool of_unipc = type == "bh1" || type == "bh2";
    const bool of_dpm_solver = type == "midpoint" || type == "heun";
    if (class_name == "DPMSolverMultistepScheduler" && !of_dpm_solver) *solver = "midpoint";
    if (class_name == "UniPCMultistepScheduler" && !of_unipc) *solver = "bh2";
  }
  if (patches == ConfigPatches::none) return;
  if (json.contains("steps_offset")) json["steps_offset"] = 1;
  if (json.contains("clip_sample") && json["clip_sample"] == true) json["clip_sample"] = false;
}

/// Options that are each known, but not together.
void check_combinations(const SchedulerConfig& config, const nlohmann::json& json) {
  const auto refuse = [&](const std::string& key, const std::string& problem) {
    const auto found = json.find(key);
    const nlohmann::json value = found == json.end() ? nlohmann::json(nullptr) : *found;
    ConfigValue(config.file, key, value).refuse(problem);
  };
  if (config.kind != SchedulerKind::dpm_solver_multistep) return;
  const bool plus_plus = config.algorithm_type == AlgorithmType::dpmsolver_pp ||
                         config.algorithm_type == AlgorithmType::sde_dpmsolver_pp;
  if (plus_plus) return;
  if (config.final_sigma_zero) {
    refuse("final_sigmas_type", "must be \"sigma_min\" for this algorithm_type");
  }
  if (config.thresholding) refuse("thresholding", "is not supported for this algorithm_type");
  if (config.algorithm_type == AlgorithmType::sde_dpmsolver && config.solver_order == 3) {
    refuse("solver_order", "must be 1 or 2 for algorithm_type \"sde-dpmsolver\"");
  }
}

SchedulerConfig read_keys(SchedulerKind kind, const nlohmann::json& json, std::string_view file) {
  SchedulerConfig config = default_config(kind);
  config.file = std::string(file);
  for (const ConfigKey& key : config_keys()) {
    const auto found = json.find(key.name);
    if (found == json.end() || !key.belongs_to(kind)) continue;
    key.read(ConfigValue(config.file, std::string(key.name), *found), config);
  }
  check_combinations(config, json);
  return config;
}

}  // namespace

SchedulerConfig read_scheduler_config(std::string_view json_text, std::string_view file,
                                      std::string_view class_name,
                                      std::optional<std::string_view> scheduler,
                                      ConfigPatches patches) {
  nlohmann::json json = parse_config(json_text, file);
  const std::string first_class = folder_class(json, class_name);
  drop_default_values(json);

  if (!scheduler) {
    const auto kind = kind_of_class(first_class);
    if (!kind) {
      throw InputError(
          ExitCode::bad_model,
          printable(file) + ": " +
              (first_class.empty()
                   ? "no scheduler is named (\"_class_name\")"
                   : "the scheduler \"" + printable(first_class) + "\" is not supported") +
              ", so the steps are unknown; choose one with --scheduler: " + all_flags());
    }
    SchedulerConfig config = read_keys(*kind, json, file);
    if (patches == ConfigPatches::stable_diffusion) {
      config.steps_offset = 1;
      config.clip_sample = false;
    }
    return config;
  }

  for (const Name& name : kNames) {
    if (*scheduler != name.flag && (name.class_name.empty() || *scheduler != name.class_name)) {
      continue;
    }
    apply_first_scheduler(json, first_class, patches);
    if (name.flag == "dpmpp_2m_karras") json["use_karras_sigmas"] = true;
    return read_keys(name.kind, json, file);
  }
  throw ConfigError("--scheduler \"" + printable(*scheduler) +
                    "\" is not known, so the steps are unknown; choose one of: " + all_flags());
}

const std::vector<std::string>& scheduler_flag_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> flags;
    flags.reserve(kNames.size());
    for (const Name& name : kNames) flags.emplace_back(name.flag);
    return flags;
  }();
  return names;
}

std::string_view scheduler_class_name(SchedulerKind kind) {
  const auto* found = std::find_if(kNames.begin(), kNames.end(),
                                   [kind](const Name& name) { return name.kind == kind; });
  return found->class_name;
}

}  // namespace diffuse
