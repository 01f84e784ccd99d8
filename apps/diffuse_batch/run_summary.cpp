#include "apps/diffuse_batch/run_summary.hpp"

#include <sys/resource.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

namespace diffuse {
namespace {

using nlohmann::ordered_json;

ordered_json times_json(const RunTimes& times) {
  return {{"reading", times.reading},     {"inspecting", times.inspecting},
          {"splitting", times.splitting}, {"scattering", times.scattering},
          {"loading", times.loading},     {"rendering", times.rendering},
          {"gathering", times.gathering}, {"merging", times.merging}};
}

}  // namespace

std::string summary_json(const RunSummary& summary, ExitCode code, const std::string& error) {
  ordered_json failures = ordered_json::array();
  for (const RunSummary::Failure& failure : summary.failures) {
    failures.push_back(
        {{"index", failure.index}, {"line", failure.line}, {"error", failure.error}});
  }
  ordered_json ranks = ordered_json::array();
  for (std::size_t i = 0; i < summary.ranks.size(); ++i) {
    const RunSummary::Rank& rank = summary.ranks[i];
    ranks.push_back({{"rank", i},
                     {"host", rank.host},
                     {"pictures", rank.pictures},
                     {"seconds", rank.seconds},
                     {"peak_memory_bytes", rank.peak_memory},
                     {"peak_device_memory_bytes", rank.peak_device_memory}});
  }
  const ordered_json all = {
      {"exit_code", static_cast<int>(code)},
      {"error", error.empty() ? ordered_json() : ordered_json(error)},
      {"output_dir", summary.output_dir},
      {"base_seed", summary.base_seed},
      {"prompts", summary.prompts},
      {"pictures", summary.pictures},
      {"kept", summary.kept},
      {"adopted", summary.adopted},
      {"rewritten", summary.rewritten},
      {"rendered", summary.rendered},
      {"failed", summary.failed},
      {"open", summary.pictures - summary.kept - summary.rendered - summary.failed},
      {"failures", failures},
      {"seconds", times_json(summary.times)},
      {"ranks", ranks},
      {"peak_memory_bytes", peak_memory()}};
  return all.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::int64_t peak_memory() {
  // First the kernel's own figure: getrusage's begins with the size of the process that started us.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    constexpr std::string_view kKey = "VmHWM:";
    if (line.starts_with(kKey)) return std::strtoll(line.c_str() + kKey.size(), nullptr, 10) * 1024;
  }
  struct rusage usage {};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return std::int64_t{usage.ru_maxrss} * 1024;
}

std::string pack_rank(const RunSummary::Rank& rank) {
  return ordered_json{rank.host, rank.pictures, rank.seconds, rank.peak_memory,
                      rank.peak_device_memory}
      .dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

RunSummary::Rank unpack_rank(const std::string& bytes) {
  const auto all = ordered_json::parse(bytes);
  return {all.at(0).get<std::string>(), all.at(1).get<std::int64_t>(), all.at(2).get<double>(),
          all.at(3).get<std::int64_t>(), all.at(4).get<std::int64_t>()};
}

}  // namespace diffuse
