#include "apps/diffuse_bench/measure.hpp"

#include <algorithm>
#include <chrono>
#include <map>

#include "core/tensor/decorators.hpp"

namespace diffuse::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The line of each op of the program; -1 for those that the filter leaves out.
std::vector<int> lines_of(NetworkResult& result, const Program& program,
                          const std::optional<std::regex>& filter) {
  std::map<std::string, int> known;
  std::vector<int> lines;
  for (const Op& op : program.ops()) {
    const std::string label = label_of(op);
    if (filter && !std::regex_search(label, *filter)) {
      lines.push_back(-1);
      continue;
    }
    const auto [at, is_new] = known.try_emplace(label, static_cast<int>(known.size()));
    lines.push_back(at->second);
    if (is_new && static_cast<std::size_t>(at->second) >= result.ops.size()) {
      OpLine line;
      line.label = label;
      line.op = name_of(op);
      result.ops.push_back(line);
    }
  }
  return lines;
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double NetworkResult::seconds() const { return median(passes); }

double NetworkResult::flops() const {
  double sum = 0;
  for (const OpLine& line : ops) sum += line.cost.flops;
  return sum;
}

double NetworkResult::rate_beside() const {
  std::vector<double> rates;
  for (const OpLine& line : ops) {
    if (line.rate_beside > 0) rates.push_back(line.rate_beside);
  }
  return median(rates);
}

NetworkResult list_ops(const std::string& name, const Program& program,
                       const std::optional<std::regex>& filter) {
  NetworkResult result;
  result.name = name;
  result.arena_bytes = program.arena_bytes();
  result.live_bytes = program.live_bytes();
  const std::vector<int> lines = lines_of(result, program, filter);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i] < 0) continue;
    OpLine& line = result.ops[static_cast<std::size_t>(lines[i])];
    const OpCost cost = cost_of(program.ops()[i]);
    ++result.op_count;
    ++line.calls;
    line.cost.flops += cost.flops;
    line.cost.activation_bytes += cost.activation_bytes;
    line.cost.weight_bytes += cost.weight_bytes;
  }
  return result;
}

void time_ops(NetworkResult& result, const Program& program, Backend& backend, int passes,
              const std::optional<std::regex>& filter, const std::function<double()>& rate_now) {
  constexpr double kLong = 0.005;
  const std::vector<int> lines = lines_of(result, program, filter);
  std::vector<std::vector<double>> seconds(result.ops.size()), rates(result.ops.size());
  for (int pass = 0; pass < passes; ++pass) {
    std::vector<double> sums(result.ops.size(), 0.0);
    double beside = 0;
    const auto start = Clock::now();
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i] < 0) continue;
      const auto op_start = Clock::now();
      backend.execute(program.ops()[i]);
      const auto line = static_cast<std::size_t>(lines[i]);
      const double taken = seconds_since(op_start);
      sums[line] += taken;
      if (!rate_now || taken < kLong) continue;
      const auto rate_start = Clock::now();
      rates[line].push_back(rate_now());
      beside += seconds_since(rate_start);
    }
    result.passes.push_back(seconds_since(start) - beside);
    for (std::size_t i = 0; i < sums.size(); ++i) seconds[i].push_back(sums[i]);
  }
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    result.ops[i].seconds = median(seconds[i]);
    result.ops[i].best_seconds = *std::min_element(seconds[i].begin(), seconds[i].end());
    result.ops[i].rate_beside = median(rates[i]);
  }
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i] < 0) continue;
    std::string& method = result.ops[static_cast<std::size_t>(lines[i])].method;
    if (method.empty()) method = backend.method_of(program.ops()[i]);
  }
}

double peak_of(const Peaks& peaks, DType dtype) {
  if (dtype == DType::f32) return peaks.f32;
  return dtype == DType::bf16 ? peaks.bf16 : 0;
}

void set_floors(NetworkResult& result, const Peaks& peaks, DType dtype) {
  const double flop_rate = peak_of(peaks, dtype);
  for (OpLine& line : result.ops) {
    const double bytes = line.cost.activation_bytes + line.cost.weight_bytes;
    const double arithmetic = flop_rate > 0 ? line.cost.flops / flop_rate : 0;
    const double memory = peaks.copy > 0 ? bytes / peaks.copy : 0;
    line.floor_seconds = std::max(arithmetic, memory);
  }
}

}  // namespace diffuse::bench
