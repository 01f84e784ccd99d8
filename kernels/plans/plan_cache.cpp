#include "kernels/plans/plan_cache.hpp"

#include <system_error>

#include "core/base/error.hpp"
#include "core/base/hashing.hpp"
#include "core/base/json_file.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{8} << 20;

}  // namespace

std::optional<std::filesystem::path> plan_cache_path(
    const PlanMachine& machine,
    const std::function<std::optional<std::string>(const char*)>& environment) {
  const auto folder = [&](const char* name) -> std::filesystem::path {
    const std::filesystem::path path = environment(name).value_or("");
    return path.is_absolute() ? path : std::filesystem::path();
  };
  std::filesystem::path base = folder("XDG_CACHE_HOME");
  if (base.empty()) {
    base = folder("HOME");
    if (base.empty()) return std::nullopt;
    base /= ".cache";
  }
  return base / "diffuse-batch" / ("plans-" + sha256_hex(machine.text()).substr(0, 16) + ".json");
}

PlanTable load_plan_cache(const std::filesystem::path& path, const PlanMachine& machine,
                          std::string* why) {
  PlanTable table;
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    try {
      table = parse_plan_table(read_text_file(path, kMaxBytes), path);
      if (table.machine != machine) {
        *why = "'" + printable(path.string()) + "' is of " + table.machine.text();
        table = {};
      }
    } catch (const Error& problem) {
      *why = problem.what();
    }
  }
  table.machine = machine;
  return table;
}

}  // namespace diffuse
