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
json percent_of(double part, double whole) {
  return part > 0 && whole > 0 ? json(100 * part / whole) : json(nullptr);
}
json percent(double flops, double seconds, double peak) {
  return percent_of(flops, seconds * peak);
}
json figure_or_null(double figure) { return figure > 0 ? json(figure) : json(nullptr); }

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
          {"seconds", figure_or_null(line.seconds)},
          {"best_seconds", figure_or_null(line.best_seconds)},
          {"floor_seconds", figure_or_null(line.floor_seconds)},
          {"gflops_per_second", rate(line.cost.flops, line.seconds)},
          {"percent_of_peak", percent(line.cost.flops, line.seconds, peak)},
          {"percent_of_rate_beside", percent(line.cost.flops, line.seconds, line.rate_beside)}};
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
                      {"seconds", figure_or_null(group.seconds)},
                      {"flops", group.flops},
                      {"percent_of_peak", percent(group.flops, group.seconds, peak)},
                      {"percent_of_rate_beside", percent_of(group.flops, group.flops_beside)}});
  }
  return {{"name", network.name},
          {"op_count", network.op_count},
          {"flops", network.flops()},
          {"shape_flops", network.shape_flops},
          {"arena_bytes", network.arena_bytes},
          {"live_bytes", network.live_bytes},
          {"passes", network.passes},
          {"seconds", figure_or_null(network.seconds())},
          {"floor_seconds", figure_or_null(floor)},
          {"gflops_per_second", rate(network.flops(), network.seconds())},
          {"percent_of_peak", percent(network.flops(), network.seconds(), peak)},
          {"rate_beside_gflops", figure_or_null(network.rate_beside() * 1e-9)},
          {"groups", groups},
          {"ops", ops}};
}

}  // namespace

std::vector<OpGroup> groups_of(const NetworkResult& network) {
  std::vector<OpGroup> groups{
      {"linear, direct conv2d"}, {"winograd conv2d"}, {"attention"}, {"other"}};
  const auto index_of = [](const OpLine& line) -> std::size_t {
    if (is_product(line.op)) return line.method == "winograd" ? 1 : 0;
    return line.op == "attention" ? 2 : 3;
  };
  const double usual = network.rate_beside();
  for (const OpLine& line : network.ops) {
    OpGroup& group = groups[index_of(line)];
    group.seconds += line.seconds;
    group.flops += line.cost.flops;
    group.flops_beside += line.seconds * (line.rate_beside > 0 ? line.rate_beside : usual);
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
            {"bf16_vectors_gflops", figure_or_null(peaks.bf16_vectors * 1e-9)},
            {"copy_gbytes", peaks.copy * 1e-9},
            {"clock_ghz", peaks.clock * 1e-9}}},
          {"peak_rss_bytes", result.peak_rss_bytes},
          {"networks", networks}};
}

}  // namespace diffuse::bench
