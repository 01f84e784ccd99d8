#include "apps/diffuse_batch/run_plans.hpp"

#include <filesystem>
#include <set>
#include <system_error>

#include "apps/diffuse_batch/plan_sources.hpp"
#include "apps/diffuse_batch/settle.hpp"
#include "apps/diffuse_batch/together.hpp"
#include "apps/paths.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/io/atomic_file.hpp"
#include "kernels/plans/plan_cache.hpp"
#include "kernels/plans/planner.hpp"
#include "mpi/launcher.hpp"

namespace diffuse {
namespace {

namespace fs = std::filesystem;

Planner* planner_of(const Preparation& prepared) {
  auto* planned = dynamic_cast<PlannedBackend*>(prepared.backend.get());
  return planned == nullptr ? nullptr : &planned->planner();
}

fs::path shipped_plans_folder() {
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  const bool in_build_tree = !program.empty() && program.string().rfind(kBuildFolder, 0) == 0;
  return in_build_tree ? fs::path(kSourcePlans) : program.parent_path() / kInstalledPlansFromBin;
}

PlanTable cached_plans(const PlanMachine& machine) {
  PlanTable table;
  table.machine = machine;
  if (const auto path = plan_cache_path(machine, mpi::process_environment)) {
    std::string why;
    table = load_plan_cache(*path, machine, &why);
    if (!why.empty()) log()->warn("the cache of timed plans begins anew: {}", why);
  }
  return table;
}

// Others may have written meanwhile: what they have and this run has not is kept.
void write_cache(PlanTable table) {
  const auto path = plan_cache_path(table.machine, mpi::process_environment);
  if (!path) return;
  table.add(cached_plans(table.machine));
  std::error_code error;
  fs::create_directories(path->parent_path(), error);
  try {
    write_file_atomically(*path, plan_table_text(table));
  } catch (const Error& problem) {
    log()->warn("timed plans are not kept for the next run: {}", problem.what());
  }
}

void use_roots_plans(const mpi::Communicator& comm, Planner& planner, const std::string& text) {
  const std::string roots = comm.broadcast_bytes(0, text);
  together(comm, [&] { planner.use(parse_plan_table(roots, "of rank 0")); });
}

// The shapes of the run's model and size.
std::set<PlanShape> shapes_of(const Preparation& prepared) {
  const RunSettings& settings = prepared.settings;
  std::set<PlanShape> shapes;
  StableDiffusion::for_each_op(*prepared.folder, job_template(settings.options), 1, settings.dtype,
                               [&](const Op& op) {
                                 if (auto shape = canonical_shape_of(op)) shapes.insert(*shape);
                               });
  return shapes;
}

}  // namespace

void find_plans(const mpi::Communicator& comm, Preparation& prepared) {
  const Options& o = prepared.settings.options;
  Planner* planner = planner_of(prepared);
  if (planner == nullptr) {
    if (comm.is_root() && (o.fast || !o.plans.empty())) {
      log()->warn("{} has no effect on this device: its kernels are chosen by tables",
                  o.fast ? "--fast" : "--plans");
    }
    return;
  }
  std::string text;
  together(comm, [&] {
    if (!comm.is_root() || !o.tune_plans.empty()) return;
    const PlanMachine machine = planner->machine();
    text = plan_table_text(
        o.fast ? cached_plans(machine)
               : plans_to_begin_with({o.output_dir, o.plans, shipped_plans_folder(), o.overwrite},
                                     machine));
  });
  if (o.tune_plans.empty()) use_roots_plans(comm, *planner, text);
}

void settle_plans(const mpi::Communicator& comm, Preparation& prepared) {
  const Options& o = prepared.settings.options;
  Planner* planner = planner_of(prepared);
  if (planner == nullptr || o.fast) return;
  std::string text;
  together(comm, [&] {
    if (!comm.is_root()) return;
    for (const PlanShape& shape : shapes_of(prepared)) planner->plan(shape);
    text = plan_table_text(planner->table());
    write_file_atomically(fs::path(o.output_dir) / kRunPlansName, text);
  });
  use_roots_plans(comm, *planner, text);
}

void keep_plans(const mpi::Communicator& comm, Preparation& prepared) {
  const Options& o = prepared.settings.options;
  Planner* planner = planner_of(prepared);
  if (planner == nullptr) return;
  const auto tables = comm.gather_bytes(0, plan_table_text(planner->table()));
  together(comm, [&] {
    if (!comm.is_root()) return;
    PlanTable all = planner->table();
    for (const std::string& text : tables) all.add(parse_plan_table(text, "of a rank"));
    if (o.fast) return write_cache(std::move(all));
    write_file_atomically(fs::path(o.output_dir) / kRunPlansName, plan_table_text(all));
  });
}

void tune_plans(const mpi::Communicator& comm, Preparation& prepared) {
  const fs::path file = prepared.settings.options.tune_plans;
  Planner* planner = planner_of(prepared);
  together(comm, [&] {
    if (planner == nullptr) {
      throw DeviceError("--tune-plans times the kernels of a GPU, and this run is on the " +
                        prepared.settings.device + "; use --device cuda to see what is missing");
    }
    if (!comm.is_root()) return;
    std::error_code ignored;
    if (fs::exists(file, ignored)) planner->use(read_given_plans(file, planner->machine()));
    const std::set<PlanShape> shapes = shapes_of(prepared);
    for (const PlanShape& shape : shapes) planner->tune(shape);
    PlanTable table = planner->table();
    table.tuned.clear();
    write_file_atomically(file, plan_table_text(table));
    log()->info("plans of {} written to '{}', which holds {}",
                counted(static_cast<std::int64_t>(shapes.size()), "layer shape"),
                printable(file.string()),
                counted(static_cast<std::int64_t>(table.size()), "layer shape"));
  });
}

}  // namespace diffuse
