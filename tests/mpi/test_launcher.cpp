#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "mpi/launcher.hpp"

using diffuse::mpi::launched_rank;
using diffuse::mpi::launcher_mismatch;

namespace {

using Variables = std::map<std::string, std::string>;

diffuse::mpi::Environment environment(Variables variables) {
  return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

bool mismatch(int size, const Variables& variables) {
  return launcher_mismatch(size, "Test MPI", environment(variables)).has_value();
}

}  // namespace

TEST_CASE("one rank of a launcher that started more is a mismatch") {
  CHECK(mismatch(1, {{"OMPI_COMM_WORLD_SIZE", "4"}}));
  CHECK(mismatch(1, {{"PMI_SIZE", "2"}, {"PMI_RANK", "0"}}));
  CHECK(mismatch(1, {{"MV2_COMM_WORLD_SIZE", "2"}}));
  CHECK(mismatch(1, {{"PMIX_RANK", "3"}}));
  CHECK(
      mismatch(1, {{"SLURM_JOB_ID", "7"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}}));
  CHECK(
      mismatch(1, {{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "8"}}));  // a batch script without srun
  CHECK(mismatch(1, {{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "8"}, {"PMI_SIZE", "8"}}));
}

TEST_CASE("one rank that is meant to be one is none") {
  CHECK_FALSE(mismatch(1, {}));
  CHECK_FALSE(mismatch(1, {{"OMPI_COMM_WORLD_SIZE", "1"}}));
  CHECK_FALSE(mismatch(1, {{"PMIX_RANK", "0"}}));
  CHECK_FALSE(mismatch(1, {{"SLURM_NTASKS", "8"}}));  // for sbatch, outside any job
  // mpirun -np 1 inside a job of 8 tasks, also when srun started its daemons.
  CHECK_FALSE(
      mismatch(1, {{"OMPI_COMM_WORLD_SIZE", "1"}, {"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "8"}}));
  CHECK_FALSE(mismatch(1, {{"OMPI_COMM_WORLD_SIZE", "1"},
                           {"SLURM_JOB_ID", "7"},
                           {"SLURM_STEP_ID", "0"},
                           {"SLURM_STEP_NUM_TASKS", "2"}}));
  // srun -n 1 inside it.
  CHECK_FALSE(mismatch(1, {{"SLURM_JOB_ID", "7"},
                           {"SLURM_STEP_ID", "0"},
                           {"SLURM_STEP_NUM_TASKS", "1"},
                           {"SLURM_NTASKS", "8"}}));
  for (const char* junk : {"", "x", "4x", "99999999999999999999"}) {
    CHECK_FALSE(mismatch(1, {{"OMPI_COMM_WORLD_SIZE", junk}}));
  }
}

TEST_CASE("ranks that see each other are never a mismatch") {
  CHECK_FALSE(mismatch(2, {{"OMPI_COMM_WORLD_SIZE", "4"}}));
  CHECK_FALSE(mismatch(4, {{"OMPI_COMM_WORLD_SIZE", "4"}}));
}

TEST_CASE("the message names what was seen and what to do") {
  const auto text = *launcher_mismatch(1, "Test MPI v7", environment({{"PMI_SIZE", "4"}}));
  for (const char* part : {"4 ", "PMI_SIZE", "Test MPI v7", "mpirun"}) {
    CHECK(text.find(part) != std::string::npos);
  }
  CHECK(text.find('\n') == std::string::npos);
}

TEST_CASE("strangers agree by the launcher's rank on who speaks") {
  CHECK(launched_rank(environment({})) == 0);
  CHECK(launched_rank(environment({{"PMI_RANK", "2"}})) == 2);
  CHECK(launched_rank(environment({{"OMPI_COMM_WORLD_RANK", "1"}, {"SLURM_PROCID", "0"}})) == 1);
  CHECK(launched_rank(environment({{"SLURM_PROCID", "3"}})) == 3);
}
