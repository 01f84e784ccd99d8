#include "core/base/threads.hpp"

#include <algorithm>
#include <array>
#include <map>

namespace diffuse {
namespace {

/// CPUs that go to one rank together.
using Units = std::vector<std::vector<int>>;

/// Whole cores in the order of packages, so that a share stays near its memory.
Units cores_of(const std::vector<Cpu>& cpus) {
  std::map<std::pair<int, int>, std::vector<int>> cores;
  for (const Cpu& cpu : cpus) cores[{cpu.package, cpu.core}].push_back(cpu.id);
  Units units;
  for (auto& [place, ids] : cores) units.push_back(std::move(ids));
  return units;
}

Units single_cpus_of(const std::vector<Cpu>& cpus) {
  Units units;
  for (const std::vector<int>& core : cores_of(cpus)) {
    for (const int id : core) units.push_back({id});
  }
  return units;
}

/// This rank's run of units: the first ranks get one more where it does not divide.
ThreadPlan slice(const Units& units, int local_rank, int local_size) {
  const auto rank = static_cast<std::size_t>(local_rank);
  const auto ranks = static_cast<std::size_t>(local_size);
  const std::size_t quotient = units.size() / ranks;
  const std::size_t remainder = units.size() % ranks;
  const std::size_t begin = rank * quotient + std::min(rank, remainder);
  const std::size_t length = quotient + (rank < remainder ? 1 : 0);
  ThreadPlan plan;
  plan.threads = static_cast<int>(length);
  for (std::size_t i = begin; i < begin + length; ++i) {
    plan.cpus.insert(plan.cpus.end(), units[i].begin(), units[i].end());
  }
  std::sort(plan.cpus.begin(), plan.cpus.end());
  return plan;
}

ThreadPlan share_out(const std::vector<Cpu>& cpus, int local_rank, int local_size) {
  const auto ranks = static_cast<std::size_t>(local_size);
  if (const Units cores = cores_of(cpus); cores.size() >= ranks) {
    return slice(cores, local_rank, local_size);
  }
  if (const Units singles = single_cpus_of(cpus); singles.size() >= ranks) {
    return slice(singles, local_rank, local_size);
  }
  ThreadPlan plan;
  for (const Cpu& cpu : cpus) plan.cpus.push_back(cpu.id);
  std::sort(plan.cpus.begin(), plan.cpus.end());
  plan.shared = true;
  return plan;
}

/// The user's own binding stays, only the number of threads is decided.
ThreadPlan stay(const ThreadInputs& inputs, int node_cpus) {
  ThreadPlan plan;
  const int cores = static_cast<int>(cores_of(inputs.own).size());
  const int own = static_cast<int>(inputs.own.size());
  plan.threads = cores;
  if (own * inputs.local_size > node_cpus) {
    // Ranks overlap: this one's part of the node, in cores.
    plan.threads = std::clamp(node_cpus / inputs.local_size * cores / std::max(own, 1), 1, cores);
    plan.shared = inputs.local_size > node_cpus;
  }
  return plan;
}

}  // namespace

ThreadPlan plan_threads(const ThreadInputs& inputs) {
  const int node_cpus =
      inputs.launcher.empty() ? inputs.node_cpus : static_cast<int>(inputs.launcher.size());
  const bool overlap = static_cast<int>(inputs.own.size()) * inputs.local_size > node_cpus;

  ThreadPlan plan;
  if (inputs.own.empty() || inputs.bound_by_user) {
    plan = stay(inputs, node_cpus);
  } else if (!inputs.launcher.empty()) {
    plan = share_out(inputs.launcher, inputs.local_rank, inputs.local_size);
  } else if (overlap && inputs.local_size > 1) {
    plan = share_out(inputs.own, inputs.local_rank, inputs.local_size);
  } else {
    plan.threads = static_cast<int>(cores_of(inputs.own).size());
  }

  std::vector<int> own;
  for (const Cpu& cpu : inputs.own) own.push_back(cpu.id);
  std::sort(own.begin(), own.end());
  const std::size_t room = plan.cpus.empty() ? own.size() : plan.cpus.size();
  if (plan.cpus == own) plan.cpus.clear();
  plan.threads = std::max(1, plan.threads);
  if (inputs.requested > 0) plan.threads = inputs.requested;
  plan.shared = plan.shared || static_cast<std::size_t>(plan.threads) > room;
  return plan;
}

bool is_bound_by_user(const std::function<std::optional<std::string>(const char*)>& environment) {
  // Seen in the ranks of Open MPI 4.1.4: each option of mpirun arrives as its MCA parameter.
  static constexpr std::array kParameters = {
      "OMPI_MCA_hwloc_base_binding_policy", "OMPI_MCA_rmaps_base_mapping_policy",
      "OMPI_MCA_hwloc_base_cpu_set",        "OMPI_MCA_hwloc_base_bind_to_core",
      "OMPI_MCA_hwloc_base_bind_to_socket", "OMPI_MCA_rmaps_base_cpus_per_rank",
      "OMPI_MCA_rmaps_base_bycore",         "OMPI_MCA_rmaps_base_bysocket",
      "OMPI_MCA_rmaps_rank_file_path",      "OMPI_MCA_orte_rankfile"};
  return std::any_of(kParameters.begin(), kParameters.end(),
                     [&](const char* name) { return environment(name).has_value(); });
}

}  // namespace diffuse
