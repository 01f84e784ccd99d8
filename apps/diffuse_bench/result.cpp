#include "apps/diffuse_bench/result.hpp"

#include "apps/version.hpp"

namespace diffuse::bench {
namespace {

using nlohmann::json;

bool is_product(const std::string& op) { return op == "linear" || op == "conv2d"; }

// null where nothing was measured.
json rate(double amount, double seconds) {
  return seconds > 0 ? json(amount / seconds * 1e-9) : json(nullptr);
}
json percent(double flops, double seconds, double peak) {
  return seconds > 0 && peak > 0 && flops > 0 ? json(100 * flops / seconds / peak) : json(nullptr);
}
json time_or_null(double seconds) { return seconds > 0 ? json(seconds) : json(nullptr); }

json gigas(const std::vector<double>& rates) {
  json out = json::array();
  for (const double r : rates) out.push_back(r * 1e-9);
  return out;
}

json op_json(const OpLine& line, double peak) {
  return {{"label", line.label},
          {"op", line.op},
          {"method", line.method},
          {"calls", line.calls},
          {"flops", line.cost.flops},
          {"activation_bytes", line.cost.activation_bytes},
          {"weight_bytes", line.cost.weight_bytes},
          {"seconds", time_or_null(line.seconds)},
          {"best_seconds", time_or_null(line.best_seconds)},
          {"floor_seconds", time_or_null(line.floor_seconds)},
          {"gflops_per_second", rate(line.cost.flops, line.seconds)},
          {"percent_of_peak", percent(line.cost.flops, line.seconds, peak)}};
}

json network_json(const NetworkResult& network, double peak) {
  json ops = json::array();
  double floor = 0;
  for (const OpLine& line : network.ops) {
    ops.push_back(op_json(line, peak));
    floor += line.floor_seconds;
  }
  json groups = json::array();
  for (const OpGroup& group : groups_of(network)) {
    groups.push_back({{"name", group.name},
                      {"seconds", time_or_null(group.seconds)},
                      {"flops", group.flops},
                      {"percent_of_peak", percent(group.flops, group.seconds, peak)}});
  }
  return {{"name", network.name},
          {"op_count", network.op_count},
          {"flops", network.flops()},
          {"shape_flops", network.shape_flops},
          {"arena_bytes", network.arena_bytes},
          {"live_bytes", network.live_bytes},
          {"passes", network.passes},
          {"seconds", time_or_null(network.seconds())},
          {"floor_seconds", time_or_null(floor)},
          {"gflops_per_second", rate(network.flops(), network.seconds())},
          {"percent_of_peak", percent(network.flops(), network.seconds(), peak)},
          {"groups", groups},
          {"ops", ops}};
}

}  // namespace

std::vector<OpGroup> groups_of(const NetworkResult& network) {
  std::vector<OpGroup> groups{{"linear and conv2d"}, {"attention"}, {"other"}};
  for (const OpLine& line : network.ops) {
    OpGroup& group = groups[is_product(line.op) ? 0U : line.op == "attention" ? 1U : 2U];
    group.seconds += line.seconds;
    group.flops += line.cost.flops;
  }
  return groups;
}

json to_json(const BenchResult& result) {
  const double peak = peak_of(result.peaks, result.dtype);
  json networks = json::array();
  for (const NetworkResult& network : result.networks) {
    networks.push_back(network_json(network, peak));
  }
  const Peaks& peaks = result.peaks;
  return {{"schema", 1},
          {"program", std::string("diffuse_bench ") + kProgramVersion + " " + kProgramCommit},
          {"date", result.date},
          {"cpu", result.cpu},
          {"load_before", result.load_before},
          {"load_after", result.load_after},
          {"backend", result.backend},
          {"model", result.model},
          {"dtype", name_of(result.dtype)},
          {"threads", result.threads},
          {"width", result.width},
          {"height", result.height},
          {"batch_size", result.batch_size},
          {"peaks",
           {{"f32_gflops_per_core", gigas(peaks.f32_core)},
            {"f32_gflops", peaks.f32 * 1e-9},
            {"bf16_gflops_per_core", gigas(peaks.bf16_core)},
            {"bf16_gflops", peaks.bf16 * 1e-9},
            {"copy_gbytes", peaks.copy * 1e-9},
            {"clock_ghz", peaks.clock * 1e-9}}},
          {"peak_rss_bytes", result.peak_rss_bytes},
          {"networks", networks}};
}

}  // namespace diffuse::bench
