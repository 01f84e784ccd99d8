// The part of threads.hpp that looks at the machine and changes the process.

#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/base/threads.hpp"

namespace diffuse {
namespace {

/// "pid threads shared" of the process that restarted itself; the pid outlives execv, but not a
/// child.
constexpr const char* kDecided = "DIFFUSE_BATCH_THREADS";
constexpr std::size_t kMostCpus = 16384;

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::optional<int> number(const char* name) {
  const std::optional<std::string> text = environment(name);
  int value = 0;
  if (!text) return std::nullopt;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc{} || stop != end || value < 0) return std::nullopt;
  return value;
}

int topology_of(int cpu, const char* what, int otherwise) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/" + what);
  int value = otherwise;
  if (!(file >> value)) return otherwise;
  return value;
}

/// A CPU mask of any number of CPUs, which the fixed cpu_set_t is not.
struct Mask {
  std::vector<unsigned long> words = std::vector<unsigned long>(kMostCpus / (8 * sizeof(long)), 0);

  [[nodiscard]] std::size_t bytes() const { return words.size() * sizeof(long); }
  cpu_set_t* set() { return reinterpret_cast<cpu_set_t*>(words.data()); }
};

/// CPUs that a process may use; empty if that cannot be read.
std::vector<Cpu> cpus_of(pid_t process) {
  Mask mask;
  std::vector<Cpu> cpus;
  if (sched_getaffinity(process, mask.bytes(), mask.set()) != 0) return cpus;
  for (int id = 0; id < static_cast<int>(kMostCpus); ++id) {
    if (!CPU_ISSET_S(static_cast<std::size_t>(id), mask.bytes(), mask.set())) continue;
    cpus.push_back({id, topology_of(id, "physical_package_id", 0), topology_of(id, "core_id", id)});
  }
  return cpus;
}

/// The nearest ancestor that is a daemon or front end of Open MPI: between it and the rank may be a
/// shell or a wrapper, which has the rank's binding and not the launcher's.
std::vector<Cpu> launcher_cpus() {
  constexpr int kFarthest = 8;
  if (!environment("OMPI_COMM_WORLD_SIZE")) return {};
  pid_t process = getppid();
  for (int step = 0; step < kFarthest && process > 1; ++step) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t open = text.find('(');
    const std::size_t close = text.rfind(')');
    if (open == std::string::npos || close == std::string::npos) return {};
    const std::string name = text.substr(open + 1, close - open - 1);
    for (const char* launcher : {"mpirun", "mpiexec", "orterun", "orted", "prterun", "prted"}) {
      if (name == launcher) return cpus_of(process);
    }
    char state = 0;
    if (!(std::istringstream(text.substr(close + 1)) >> state >> process)) return {};
  }
  return {};
}

int node_cpus() {
  if (const auto allotted = number("SLURM_CPUS_ON_NODE")) return *allotted;
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

std::optional<ThreadPlan> decided_before() {
  const std::optional<std::string> text = environment(kDecided);
  if (!text) return std::nullopt;
  pid_t process = 0;
  ThreadPlan plan;
  if (!(std::istringstream(*text) >> process >> plan.threads >> plan.shared)) return std::nullopt;
  if (process != getpid() || plan.threads < 1) return std::nullopt;
  return plan;
}

bool set_cpus(const std::vector<int>& cpus) {
  Mask mask;
  for (const int id : cpus) CPU_SET_S(static_cast<std::size_t>(id), mask.bytes(), mask.set());
  return sched_setaffinity(0, mask.bytes(), mask.set()) == 0;
}

ThreadPlan plan_here(int requested, int local_rank, int local_size) {
  return plan_threads({.requested = requested,
                       .local_rank = local_rank,
                       .local_size = local_size,
                       .own = cpus_of(0),
                       .launcher = launcher_cpus(),
                       .node_cpus = node_cpus(),
                       .bound_by_user = is_bound_by_user(environment)});
}

struct LocalRank {
  int rank;
  int size;
};

/// Place on this node by the launcher's variables; a process without any is alone.
std::optional<LocalRank> local_rank_by_launcher() {
  constexpr std::array<std::array<const char*, 2>, 2> kNames = {
      {{"OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
       {"MPI_LOCALRANKID", "MPI_LOCALNRANKS"}}};
  for (const auto& [rank_name, size_name] : kNames) {
    const auto rank = number(rank_name);
    const auto size = number(size_name);
    if (rank && size && *rank < *size) return LocalRank{*rank, *size};
  }
  for (const char* name :
       {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "SLURM_STEP_NUM_TASKS"}) {
    if (environment(name)) return std::nullopt;
  }
  return LocalRank{0, 1};
}

}  // namespace

ThreadPlan prepare_threads(int requested, int local_rank, int local_size) {
  if (const auto plan = decided_before()) return *plan;
  ThreadPlan plan = plan_here(requested, local_rank, local_size);
  // Where the kernel forbids it (a cpuset that shrank), threads still work on the CPUs there are.
  if (!plan.cpus.empty() && !set_cpus(plan.cpus)) plan.cpus.clear();
  return plan;
}

void restart_with_threads(int requested, char** argv) {
  const auto place = local_rank_by_launcher();
  if (decided_before() || !place) return;
  const ThreadPlan plan = prepare_threads(requested, place->rank, place->size);
  const bool to_passive = plan.shared && !environment("OMP_WAIT_POLICY");
  if (plan.cpus.empty() && !to_passive) return;

  // The real path and not /proc/self/exe, which would show as "exe" in process lists.
  std::array<char, PATH_MAX> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (length <= 0) return;
  const std::string decided = std::to_string(getpid()) + ' ' + std::to_string(plan.threads) + ' ' +
                              (plan.shared ? '1' : '0');
  setenv(kDecided, decided.c_str(), 1);
  if (to_passive) {
    setenv("OMP_WAIT_POLICY", "passive", 1);
    setenv("KMP_BLOCKTIME", "0", 0);  // the same for LLVM's runtime
  }
  execv(path.data(), argv);
}

}  // namespace diffuse
