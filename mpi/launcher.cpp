#include "mpi/launcher.hpp"

#include <array>
#include <charconv>
#include <cstdlib>

namespace diffuse::mpi {
namespace {

std::optional<long> number_in(const Environment& environment, const char* name) {
  const std::optional<std::string> text = environment(name);
  if (!text) return std::nullopt;
  long value = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

struct Claim {
  const char* variable;
  long size;
};

/// How many ranks the launcher says it started. The variables of the launcher itself come first:
/// inside a SLURM job, those of SLURM may be about the daemons of mpirun, and say nothing about its
/// ranks.
std::optional<Claim> claimed_size(const Environment& environment) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"}) {
    if (const auto size = number_in(environment, name)) return Claim{name, *size};
  }
  if (environment("SLURM_STEP_ID")) {
    if (const auto size = number_in(environment, "SLURM_STEP_NUM_TASKS")) {
      return Claim{"SLURM_STEP_NUM_TASKS", *size};
    }
  } else if (environment("SLURM_JOB_ID")) {
    if (const auto size = number_in(environment, "SLURM_NTASKS")) {
      return Claim{"SLURM_NTASKS", *size};
    }
  }
  // Nobody tells the size, but the second rank of something is not alone.
  if (const auto rank = number_in(environment, "PMIX_RANK"); rank && *rank > 0) {
    return Claim{"PMIX_RANK", *rank + 1};
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> process_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

int launched_rank(const Environment& environment) {
  constexpr std::array kRanks = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK",
                                 "PMIX_RANK", "SLURM_PROCID"};
  for (const char* name : kRanks) {
    if (const auto rank = number_in(environment, name)) return static_cast<int>(*rank);
  }
  return 0;
}

std::optional<std::string> launcher_mismatch(int mpi_size, const std::string& mpi_library,
                                             const Environment& environment) {
  if (mpi_size != 1) return std::nullopt;
  const std::optional<Claim> claim = claimed_size(environment);
  if (!claim || claim->size <= 1) return std::nullopt;
  return "the launcher started " + std::to_string(claim->size) + " or more ranks (" +
         claim->variable + "), but the MPI library of this program (" + mpi_library +
         ") sees one: each would render the whole list into the same files; start it with the "
         "mpirun of that library or with `srun --mpi=pmix`, and for one rank with `mpirun -np 1`";
}

}  // namespace diffuse::mpi
