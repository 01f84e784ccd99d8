#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "kernels/plans/plan_table.hpp"

namespace diffuse {

/// Where timed choices of a machine are kept between runs:
/// $XDG_CACHE_HOME/diffuse-batch/plans-<machine>.json, or below $HOME/.cache (XDG Base Directory
/// Specification 0.8: values that are not absolute are ignored). Nothing where neither is set.
std::optional<std::filesystem::path> plan_cache_path(
    const PlanMachine& machine,
    const std::function<std::optional<std::string>(const char*)>& environment);

/// The table there; an empty one, with the reason in `*why`, where it cannot be read or is of
/// another machine. No file is no reason.
PlanTable load_plan_cache(const std::filesystem::path& path, const PlanMachine& machine,
                          std::string* why);

}  // namespace diffuse
