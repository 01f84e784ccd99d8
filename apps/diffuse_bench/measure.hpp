#pragma once

#include <functional>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "apps/diffuse_bench/peaks.hpp"
#include "core/tensor/program.hpp"

namespace diffuse::bench {

/// All calls of one op with one set of shapes.
struct OpLine {
  std::string label;   ///< label_of(op)
  std::string op;      ///< "conv2d", ...
  std::string method;  ///< how the backend performs it, where it tells
  int calls = 0;
  OpCost cost;               ///< of all calls together
  double seconds = 0;        ///< of all calls together: median over the passes
  double best_seconds = 0;   ///< the fastest pass
  double floor_seconds = 0;  ///< by the peaks: the larger of arithmetic and memory
  /// FLOP/s of the peaks' loop beside the op's calls, median; 0 where they are too short to tell.
  double rate_beside = 0;
};

/// A network, or some of its ops.
struct NetworkResult {
  std::string name;
  std::vector<double> passes;  ///< seconds of each, from the first op to the last
  std::vector<OpLine> ops;     ///< in order of first appearance
  std::size_t op_count = 0;
  double shape_flops = 0;  ///< of the shape-only program, all of its ops
  std::size_t arena_bytes = 0, live_bytes = 0;

  [[nodiscard]] double seconds() const;  ///< median of the passes; 0 without passes
  [[nodiscard]] double flops() const;
  /// Median of the lines' rate_beside; 0 where there is none.
  [[nodiscard]] double rate_beside() const;
};

double median(std::vector<double> values);

/// The program's ops whose label matches (all without `filter`), with calls and costs.
NetworkResult list_ops(const std::string& name, const Program& program,
                       const std::optional<std::regex>& filter);

/// Executes those ops `passes` times, in order, after the program has run as a whole. `rate_now`:
/// called after each op of some length, outside of all times, for the lines' rate_beside; or empty.
void time_ops(NetworkResult& result, const Program& program, Backend& backend, int passes,
              const std::optional<std::regex>& filter, const std::function<double()>& rate_now);

/// Floors by the machine's peaks for activations of this dtype.
void set_floors(NetworkResult& result, const Peaks& peaks, DType dtype);

/// The peak of matrix products in this dtype, FLOP/s; 0 if unknown.
double peak_of(const Peaks& peaks, DType dtype);

}  // namespace diffuse::bench
