#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace diffuse {

/// A logical CPU; two with equal package and core are threads of one core.
struct Cpu {
  int id = 0;
  int package = 0;
  int core = 0;

  bool operator==(const Cpu&) const = default;
};

/// What the share-out of a node's cores is decided from.
struct ThreadInputs {
  int requested = 0;  ///< --threads; 0: all cores of the share
  int local_rank = 0;
  int local_size = 1;    ///< ranks on this node
  std::vector<Cpu> own;  ///< where this process may run
  std::vector<Cpu>
      launcher;       ///< where the process that started the ranks may run; empty if there is none
  int node_cpus = 0;  ///< logical CPUs of the node that are this job's
  bool bound_by_user = false;  ///< the user told the launcher how to bind or map
};

/// How many threads a rank computes with, and where.
struct ThreadPlan {
  int threads = 1;
  std::vector<int> cpus;  ///< to run on, ascending; empty: leave it as it is
  bool shared = false;  ///< threads meet others on a core, so they should not spin while they wait

  bool operator==(const ThreadPlan&) const = default;
};

/// The share of this rank.
/// - Bound by the user: stays there. Where the ranks' sets must overlap, as with `--bind-to none`,
/// threads are the
///   rank's part of the launcher's CPUs.
/// - Under a launcher whose own CPUs are known: these are shared out, whatever its default binding
/// was (Open MPI 4
///   binds up to two ranks to one core each, and does so outside of `taskset` too).
/// - Otherwise the rank's own CPUs, shared out if the ranks' sets must overlap.
/// Shares are contiguous runs of whole cores, one thread a core; with fewer cores than ranks, of
/// logical CPUs; with fewer of these too, every rank has one thread on all of them.
ThreadPlan plan_threads(const ThreadInputs& inputs);

/// True if the environment that Open MPI's mpirun gives its ranks shows a binding or mapping option
/// (`--bind-to`, `--map-by`, `--cpu-set`, a rank file, their old forms or MCA parameters).
bool is_bound_by_user(const std::function<std::optional<std::string>(const char*)>& environment);

/// Looks at this machine, plans, and sets the CPUs of this process. To be called before threads
/// start, for they inherit the CPUs. After restart_with_threads() it only returns what was decided
/// there.
ThreadPlan prepare_threads(int requested, int local_rank, int local_size);

/// To be called by main() before MPI and OpenMP are used: plans as above by the launcher's
/// variables, and, if this changes the CPUs or calls for passive waiting, runs the program again in
/// the same process (execv), once. libgomp reads OMP_WAIT_POLICY and counts the CPUs before main(),
/// and spins or sleeps by what it saw then. Returns if there is nothing to change, or if the local
/// rank is known to MPI only.
void restart_with_threads(int requested, char** argv);

}  // namespace diffuse
