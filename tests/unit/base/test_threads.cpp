#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>

#include "core/base/threads.hpp"

using namespace diffuse;

namespace {

/// `cores` cores on each package, `siblings` CPUs a core, numbered as Linux does: first threads
/// first.
std::vector<Cpu> machine(int packages, int cores, int siblings) {
  std::vector<Cpu> cpus;
  for (int sibling = 0; sibling < siblings; ++sibling) {
    for (int package = 0; package < packages; ++package) {
      for (int core = 0; core < cores; ++core) {
        cpus.push_back({static_cast<int>(cpus.size()), package, core});
      }
    }
  }
  return cpus;
}

std::vector<Cpu> only(const std::vector<Cpu>& cpus, const std::set<int>& ids) {
  std::vector<Cpu> some;
  for (const Cpu& cpu : cpus) {
    if (ids.contains(cpu.id)) some.push_back(cpu);
  }
  return some;
}

ThreadInputs under_mpirun(std::vector<Cpu> own, std::vector<Cpu> launcher, int rank, int size) {
  ThreadInputs inputs;
  inputs.local_rank = rank;
  inputs.local_size = size;
  inputs.own = std::move(own);
  inputs.launcher = std::move(launcher);
  inputs.node_cpus = 64;
  return inputs;
}

using Cpus = std::vector<int>;

}  // namespace

TEST_CASE("a process alone uses a thread on each core it may use") {
  ThreadInputs inputs;
  inputs.own = machine(1, 8, 2);
  inputs.node_cpus = 16;
  CHECK(plan_threads(inputs) == ThreadPlan{8, {}, false});
  inputs.own = only(machine(1, 8, 2), {1, 3, 9});  // taskset: core 1 twice, core 3 once
  CHECK(plan_threads(inputs) == ThreadPlan{2, {}, false});
}

TEST_CASE("the binding that mpirun chose is dropped for the launcher's CPUs") {
  const auto node = machine(1, 2, 1);
  CHECK(plan_threads(under_mpirun(only(node, {0}), node, 0, 1)) == ThreadPlan{2, {0, 1}, false});
  CHECK(plan_threads(under_mpirun(only(node, {0}), node, 0, 2)) == ThreadPlan{1, {}, false});
  const auto big = machine(1, 8, 1);
  CHECK(plan_threads(under_mpirun(only(big, {1}), big, 1, 2)) ==
        ThreadPlan{4, {4, 5, 6, 7}, false});
  // mpirun was put on CPU 1, and bound its rank to CPU 0 all the same.
  CHECK(plan_threads(under_mpirun(only(node, {0}), only(node, {1}), 0, 1)) ==
        ThreadPlan{1, {1}, false});
}

TEST_CASE("ranks get whole cores, balanced, all of them, none twice") {
  for (const int siblings : {1, 2}) {
    const auto node = machine(2, 5, siblings);
    for (int size = 1; size <= 10; ++size) {
      std::set<int> seen;
      int threads = 0;
      for (int rank = 0; rank < size; ++rank) {
        auto plan = plan_threads(under_mpirun(only(node, {rank}), node, rank, size));
        CAPTURE(siblings, size, rank);
        if (plan.cpus.empty()) plan.cpus = {rank};  // it is there already
        CHECK(plan.threads >= 10 / size);
        CHECK(plan.threads <= 10 / size + 1);
        CHECK(plan.cpus.size() == static_cast<std::size_t>(plan.threads * siblings));
        CHECK_FALSE(plan.shared);
        for (const int cpu : plan.cpus) {
          CHECK(seen.insert(cpu).second);
          if (siblings == 2)
            CHECK(std::set<int>(plan.cpus.begin(), plan.cpus.end()).contains((cpu + 10) % 20));
        }
        threads += plan.threads;
      }
      CHECK(threads == 10);
      CHECK(seen.size() == node.size());
    }
  }
}

TEST_CASE("more ranks than cores take CPUs, and more than these share all") {
  const auto node = machine(1, 2, 2);
  CHECK(plan_threads(under_mpirun(node, node, 1, 3)) == ThreadPlan{1, {1}, false});
  CHECK(plan_threads(under_mpirun(only(node, {0}), node, 3, 5)) ==
        ThreadPlan{1, {0, 1, 2, 3}, true});
}

TEST_CASE("a binding by the user stays") {
  const auto node = machine(2, 8, 1);
  auto inputs = under_mpirun(only(node, {3}), node, 3, 4);
  inputs.bound_by_user = true;
  CHECK(plan_threads(inputs) == ThreadPlan{1, {}, false});

  // --bind-to socket: two of four ranks on each.
  inputs.own = only(node, {0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(plan_threads(inputs) == ThreadPlan{4, {}, false});

  // --bind-to none.
  inputs.own = node;
  CHECK(plan_threads(inputs) == ThreadPlan{4, {}, false});
  inputs.local_size = 1;
  CHECK(plan_threads(inputs) == ThreadPlan{16, {}, false});
  inputs.local_size = 40;
  CHECK(plan_threads(inputs) == ThreadPlan{1, {}, true});
}

TEST_CASE("without a known launcher, ranks keep CPUs of their own and share common ones") {
  const auto node = machine(1, 8, 1);
  ThreadInputs inputs;
  inputs.local_rank = 1;
  inputs.local_size = 2;
  inputs.node_cpus = 8;
  inputs.own = only(node, {4, 5, 6, 7});  // srun bound each task
  CHECK(plan_threads(inputs) == ThreadPlan{4, {}, false});
  inputs.own = node;  // srun --cpu-bind=none
  CHECK(plan_threads(inputs) == ThreadPlan{4, {4, 5, 6, 7}, false});
}

TEST_CASE("the number of threads that the user asks for holds") {
  const auto node = machine(1, 8, 1);
  auto inputs = under_mpirun(only(node, {0}), node, 0, 2);
  inputs.requested = 3;
  CHECK(plan_threads(inputs) == ThreadPlan{3, {0, 1, 2, 3}, false});
  inputs.requested = 5;
  CHECK(plan_threads(inputs) == ThreadPlan{5, {0, 1, 2, 3}, true});
}

TEST_CASE("a machine that tells nothing gets one thread") {
  CHECK(plan_threads({}) == ThreadPlan{1, {}, true});
}

TEST_CASE("binding options of mpirun are recognised in the environment of its ranks") {
  const auto bound = [](const std::string& set) {
    return is_bound_by_user([&](const char* name) -> std::optional<std::string> {
      if (set == name) return "x";
      return std::nullopt;
    });
  };
  CHECK(bound("OMPI_MCA_hwloc_base_binding_policy"));
  CHECK(bound("OMPI_MCA_rmaps_base_mapping_policy"));
  CHECK(bound("OMPI_MCA_hwloc_base_cpu_set"));
  CHECK_FALSE(bound(""));
  CHECK_FALSE(bound("OMPI_MCA_orte_bound_at_launch"));  // mpirun's own default
  CHECK_FALSE(bound("OMPI_MCA_rmaps_base_oversubscribe"));
}
