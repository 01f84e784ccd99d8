#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/diffuse_bench/measure.hpp"

namespace diffuse::bench {

/// Everything that one run of diffuse_bench found.
struct BenchResult {
  std::string date;                             ///< UTC
  std::string cpu;                              ///< as /proc/cpuinfo names it
  std::vector<double> load_before, load_after;  ///< load averages of 1, 5 and 15 minutes
  std::string backend;                          ///< instruction set and library versions
  std::string model;
  DType dtype = DType::f32;
  int threads = 0, width = 0, height = 0, batch_size = 1;
  Peaks peaks;
  std::vector<NetworkResult> networks;
  std::size_t peak_rss_bytes = 0;  ///< of the process after the measurement of the peaks
};

/// Ops of one kind together: "linear, direct conv2d", "winograd conv2d", "attention", "other".
struct OpGroup {
  std::string name;
  double seconds = 0, flops = 0;
  double flops_beside = 0;  ///< of the peaks' loop in the same time at rate_beside; 0: unknown
};
std::vector<OpGroup> groups_of(const NetworkResult& network);

/// The result as JSON, schema 1.
nlohmann::json to_json(const BenchResult& result);

/// Peaks, then each network with its groups and its `rows` slowest ops.
std::string table(const BenchResult& result, int rows);

/// Ratios b / a of the networks and ops that both results hold. Throws InputError(usage) for files
/// that are no results of schema 1.
std::string comparison(const std::string& a_file, const std::string& b_file, int rows);

}  // namespace diffuse::bench
