#pragma once

#include <filesystem>

#include "kernels/plans/plan_table.hpp"

namespace diffuse {

inline constexpr const char* kRunPlansName = "plans.json";

/// Where the plans of a run may come from.
struct PlanSources {
  std::filesystem::path output_dir;  ///< whose plans.json an earlier run left
  std::filesystem::path given;       ///< --plans; empty: none
  std::filesystem::path shipped;     ///< folder of tables, *.json
  bool overwrite = false;            ///< pictures of other plans may be replaced
};

/// The table that a strict run on `machine` begins with: that of the output folder, so that a run
/// goes on with the choices it began with; else the one given, else a shipped one that fits, else
/// an empty one.
/// Throws InputError(busy_output) if the folder's table cannot be read, is of another machine, or
/// came from another table than is given (unless `overwrite`); ConfigError for a given table that
/// cannot be read or is of another machine.
PlanTable plans_to_begin_with(const PlanSources& sources, const PlanMachine& machine);

/// A table from a file named by a flag, for `machine`. Throws ConfigError.
PlanTable read_given_plans(const std::filesystem::path& path, const PlanMachine& machine);

}  // namespace diffuse
