#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/diffuse_batch/run_times.hpp"
#include "core/base/error.hpp"

namespace diffuse {

/// What `--json` tells at the end of a run, on root.
struct RunSummary {
  std::string output_dir;
  std::uint64_t base_seed = 0;
  std::int64_t prompts = 0;   ///< lines of the list that are not blank
  std::int64_t pictures = 0;  ///< jobs of the list
  std::int64_t kept = 0;      ///< done by earlier runs; of these:
  std::int64_t adopted = 0, rewritten = 0;
  std::int64_t rendered = 0, failed = 0;  ///< by this run

  struct Failure {
    std::int64_t index = 0;
    std::int64_t line = 0;
    std::string error;
  };
  std::vector<Failure> failures;  ///< the first kMostFailures; the manifest has all

  /// What one rank did.
  struct Rank {
    std::string host;
    std::int64_t pictures = 0;            ///< rendered, or failed
    double seconds = 0;                   ///< from its first batch to the end of its last
    std::int64_t peak_memory = 0;         ///< bytes
    std::int64_t peak_device_memory = 0;  ///< bytes of the GPU's own memory; 0 on CPUs
  };
  std::vector<Rank> ranks;
  RunTimes times;

  static constexpr std::size_t kMostFailures = 1000;
};

/// One object of JSON on one line: counts, failures, seconds by stage and rank, memory, exit code.
std::string summary_json(const RunSummary& summary, ExitCode code, const std::string& error);

/// Most memory that this process has held, in bytes; 0 where the system does not tell.
std::int64_t peak_memory();

/// A rank's line of the summary, for the way to root.
std::string pack_rank(const RunSummary::Rank& rank);
RunSummary::Rank unpack_rank(const std::string& bytes);

}  // namespace diffuse
