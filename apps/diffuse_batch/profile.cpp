#include "apps/diffuse_batch/profile.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

namespace diffuse {

std::string profile_table(const TracingBackend& backend, std::size_t rows) {
  using Entry = std::pair<std::string, TracingBackend::Line>;
  std::vector<Entry> lines(backend.lines().begin(), backend.lines().end());
  std::sort(lines.begin(), lines.end(),
            [](const Entry& a, const Entry& b) { return a.second.seconds > b.second.seconds; });
  double all = 0;
  for (const auto& [name, line] : lines) all += line.seconds;

  std::string out = "   seconds  share    calls   GFLOP/s     GB/s  op, first operand -> output\n";
  for (std::size_t i = 0; i < lines.size() && i < rows; ++i) {
    const auto& [name, line] = lines[i];
    const double bytes = line.cost.activation_bytes + line.cost.weight_bytes;
    char text[96];
    std::snprintf(text, sizeof text, "%10.4f %5.1f%% %8lld %9.1f %8.1f  ", line.seconds,
                  100 * line.seconds / all, static_cast<long long>(line.calls),
                  line.cost.flops * 1e-9 / line.seconds, bytes * 1e-9 / line.seconds);
    out += text + name + "\n";
  }
  return out;
}

}  // namespace diffuse
