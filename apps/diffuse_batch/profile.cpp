#include "apps/diffuse_batch/profile.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

namespace diffuse {
namespace {

double bytes_of(const TracingBackend::Line& line) {
  return line.cost.activation_bytes + line.cost.weight_bytes;
}

// Calls of one line cost the same, so that their sum is bound by what each of them is.
double floor_of(const TracingBackend::Line& line, const DeviceLimits& limits) {
  return std::max(line.cost.flops / limits.flops_per_second,
                  bytes_of(line) / limits.bytes_per_second);
}

}  // namespace

std::string profile_table(const TracingBackend& backend, const DeviceLimits& limits,
                          std::size_t rows) {
  using Entry = std::pair<std::string, TracingBackend::Line>;
  std::vector<Entry> lines(backend.lines().begin(), backend.lines().end());
  std::sort(lines.begin(), lines.end(),
            [](const Entry& a, const Entry& b) { return a.second.seconds > b.second.seconds; });
  const bool has_floor = limits.flops_per_second > 0 && limits.bytes_per_second > 0;
  double all = 0;
  double floors = 0;
  for (const auto& [name, line] : lines) {
    all += line.seconds;
    if (has_floor) floors += floor_of(line, limits);
  }

  std::string out = "   seconds  share    calls   GFLOP/s     GB/s ";
  out += has_floor ? " floor  op, first operand -> output\n" : " op, first operand -> output\n";
  for (std::size_t i = 0; i < lines.size() && i < rows; ++i) {
    const auto& [name, line] = lines[i];
    char text[96];
    std::snprintf(text, sizeof text, "%10.4f %5.1f%% %8lld %9.1f %8.1f ", line.seconds,
                  100 * line.seconds / all, static_cast<long long>(line.calls),
                  line.cost.flops * 1e-9 / line.seconds, bytes_of(line) * 1e-9 / line.seconds);
    out += text;
    if (has_floor) {
      std::snprintf(text, sizeof text, "%5.1f%%", 100 * floor_of(line, limits) / line.seconds);
      out += text;
    }
    out += (has_floor ? "  " : " ") + name + "\n";
  }
  if (has_floor) {
    char text[160];
    std::snprintf(text, sizeof text,
                  "%10.4f in all, of which %.4f are the floor of a device with %.1f TFLOP/s and "
                  "%.0f GB/s\n",
                  all, floors, limits.flops_per_second * 1e-12, limits.bytes_per_second * 1e-9);
    out += text;
  }
  return out;
}

}  // namespace diffuse
