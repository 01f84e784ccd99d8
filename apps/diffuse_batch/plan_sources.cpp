#include "apps/diffuse_batch/plan_sources.hpp"

#include <algorithm>
#include <optional>
#include <system_error>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/json_file.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxBytes = std::size_t{8} << 20;

PlanTable read_table(const fs::path& path) {
  return parse_plan_table(read_text_file(path, kMaxBytes), path);
}

InputError of_other_plans(const fs::path& folder, const std::string& why) {
  return {ExitCode::busy_output,
          "output folder '" + printable(folder.string()) + "': " + why +
              ", so new pictures would differ in rounding; take another output folder or "
              "--overwrite"};
}

// What an earlier run in this folder chose; nothing if there was none.
std::optional<PlanTable> plans_of_folder(const fs::path& folder, const PlanMachine& machine) {
  const fs::path path = folder / kRunPlansName;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  PlanTable table;
  try {
    table = read_table(path);
  } catch (const InputError& error) {
    throw of_other_plans(folder, error.what());
  }
  if (!table.machine.fits(machine)) {
    throw of_other_plans(folder, "its pictures were made with " + table.machine.text() +
                                     ", and this is " + machine.text());
  }
  return table;
}

std::optional<PlanTable> shipped_plans(const fs::path& folder, const PlanMachine& machine) {
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".json") files.push_back(at->path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    try {
      PlanTable table = read_table(file);
      if (!table.machine.fits(machine)) continue;
      table.tuned = table.id();
      return table;
    } catch (const InputError& problem) {
      log()->warn("{}", problem.what());
    }
  }
  return std::nullopt;
}

}  // namespace

PlanTable read_given_plans(const fs::path& path, const PlanMachine& machine) {
  PlanTable table;
  try {
    table = read_table(path);
  } catch (const InputError& error) {
    throw ConfigError(error.what());
  }
  if (!table.machine.fits(machine)) {
    throw ConfigError("plan table '" + printable(path.string()) + "' is for " +
                      table.machine.text() + ", and this is " + machine.text() +
                      "; make one here with --tune-plans");
  }
  table.tuned = table.id();
  return table;
}

PlanTable plans_to_begin_with(const PlanSources& sources, const PlanMachine& machine) {
  std::optional<PlanTable> given;
  if (!sources.given.empty()) given = read_given_plans(sources.given, machine);
  try {
    if (auto left = plans_of_folder(sources.output_dir, machine)) {
      if (!given || given->tuned == left->tuned) return *left;
      throw of_other_plans(sources.output_dir,
                           "its pictures were made with " +
                               (left->tuned.empty() ? "no plan table" : "table " + left->tuned) +
                               ", and --plans gives table " + given->tuned);
    }
  } catch (const InputError&) {
    if (!sources.overwrite) throw;
  }
  if (given) return *given;
  if (auto shipped = shipped_plans(sources.shipped, machine)) return *shipped;
  PlanTable none;
  none.machine = machine;
  return none;
}

}  // namespace diffuse
