#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <map>

#include "apps/diffuse_bench/result.hpp"
#include "core/base/error.hpp"
#include "core/base/json_file.hpp"
#include "core/base/text.hpp"

namespace diffuse::bench {
namespace {

using nlohmann::json;

[[gnu::format(printf, 1, 2)]] std::string line(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

std::string rates(const std::vector<double>& cores) {
  std::string text;
  for (const double rate : cores) text += (text.empty() ? "" : " ") + line("%.1f", rate * 1e-9);
  return text;
}

std::string peaks_table(const BenchResult& r) {
  const Peaks& p = r.peaks;
  std::string out = line("clock %.2f GHz; peaks with %d threads: f32 %.1f GFLOP/s (a core: %s)",
                         p.clock * 1e-9, r.threads, p.f32 * 1e-9, rates(p.f32_core).c_str());
  if (p.bf16 > 0) {
    out += line(", bf16 %.1f (a core: %s)", p.bf16 * 1e-9, rates(p.bf16_core).c_str());
  }
  if (p.bf16_vectors > 0) out += line(" on tiles, %.1f in vectors", p.bf16_vectors * 1e-9);
  return out + line(", copy %.1f GB/s\n", p.copy * 1e-9);
}

// "  12.3" or, where there is nothing to divide, a dash.
std::string percent_text(double part, double whole) {
  if (part <= 0 || whole <= 0) return "    -";
  return line("%5.1f", 100 * part / whole);
}

std::string network_table(const NetworkResult& network, double peak, int rows) {
  const double seconds = network.seconds();
  const double spread =
      network.passes.empty() || seconds <= 0
          ? 0
          : *std::max_element(network.passes.begin(), network.passes.end()) / seconds;
  double floor = 0;
  for (const OpLine& l : network.ops) floor += l.floor_seconds;
  std::string out = line(
      "\n%s: %.4f s (slowest pass %.2f x), %.2f GFLOP, %.1f GFLOP/s, %s %% of peak; floor %.4f s; "
      "arena %.1f MiB; the peak's loop between ops: %.1f GFLOP/s\n",
      network.name.c_str(), seconds, spread, network.flops() * 1e-9,
      seconds > 0 ? network.flops() / seconds * 1e-9 : 0.0,
      percent_text(network.flops(), seconds * peak).c_str(), floor,
      static_cast<double>(network.arena_bytes) / 1048576, network.rate_beside() * 1e-9);
  for (const OpGroup& group : groups_of(network)) {
    if (group.seconds <= 0) continue;
    out += line("  %-21s %9.4f s  %s %% of peak, %s of the rate beside\n", group.name.c_str(),
                group.seconds, percent_text(group.flops, group.seconds * peak).c_str(),
                percent_text(group.flops, group.flops_beside).c_str());
  }

  out += "   seconds  share  calls   GFLOP/s  %peak %beside  floor/t  op\n";
  std::vector<OpLine> ops = network.ops;
  std::stable_sort(ops.begin(), ops.end(),
                   [](const OpLine& a, const OpLine& b) { return a.seconds > b.seconds; });
  for (std::size_t i = 0; i < ops.size() && i < static_cast<std::size_t>(rows); ++i) {
    const OpLine& o = ops[i];
    out += line("%10.5f %5.1f%% %6d %9.1f  %s   %s %8.2f  %s%s\n", o.seconds,
                seconds > 0 ? 100 * o.seconds / seconds : 0.0, o.calls,
                o.seconds > 0 ? o.cost.flops / o.seconds * 1e-9 : 0.0,
                percent_text(o.cost.flops, o.seconds * peak).c_str(),
                percent_text(o.cost.flops, o.seconds * o.rate_beside).c_str(),
                o.seconds > 0 ? o.floor_seconds / o.seconds : 0.0, o.label.c_str(),
                o.method.empty() ? "" : ("  [" + o.method + "]").c_str());
  }
  return out;
}

struct Ratio {
  std::string name;
  double a = 0, b = 0;
};

std::string ratio_line(const Ratio& r) {
  return line("%10.5f %10.5f %7.3f  %s\n", r.a, r.b, r.a > 0 ? r.b / r.a : 0.0,
              printable(r.name, 120).c_str());
}

json read_result(const std::string& file) {
  json result = read_json_object(file);
  if (result.value("schema", json()) != 1) {
    throw InputError(ExitCode::usage, printable(file) + ": no result of diffuse_bench (schema 1)");
  }
  return result;
}

double seconds_of(const json& entry) {
  const json value = entry.value("seconds", json());
  return value.is_number() ? value.get<double>() : 0;
}

}  // namespace

std::string table(const BenchResult& result, int rows) {
  std::string out = line("%s, %s, load %.2f before, %.2f after\n", result.cpu.c_str(),
                         result.backend.c_str(), result.load_before[0], result.load_after[0]);
  out += line("%s, %s, %d x %d, batch %d\n", result.model.c_str(),
              std::string(name_of(result.dtype)).c_str(), result.width, result.height,
              result.batch_size);
  out += peaks_table(result);
  for (const NetworkResult& network : result.networks) {
    out += network_table(network, peak_of(result.peaks, result.dtype), rows);
  }
  return out;
}

std::string comparison(const std::string& a_file, const std::string& b_file, int rows) {
  const json a = read_result(a_file);
  const json b = read_result(b_file);
  std::string out;
  try {
    for (const json& in_a : a.at("networks")) {
      for (const json& in_b : b.at("networks")) {
        if (in_a.at("name") != in_b.at("name")) continue;
        out += (out.empty() ? "" : "\n") + std::string("       a s        b s     b/a\n");
        out += ratio_line({in_a.at("name"), seconds_of(in_a), seconds_of(in_b)});
        std::map<std::string, double> known;
        for (const json& op : in_a.at("ops")) known[op.at("label")] = seconds_of(op);
        std::vector<Ratio> ratios;
        for (const json& op : in_b.at("ops")) {
          const auto found = known.find(op.at("label"));
          if (found != known.end()) ratios.push_back({found->first, found->second, seconds_of(op)});
        }
        std::stable_sort(ratios.begin(), ratios.end(), [](const Ratio& x, const Ratio& y) {
          return std::abs(x.b - x.a) > std::abs(y.b - y.a);
        });
        for (std::size_t i = 0; i < ratios.size() && i < static_cast<std::size_t>(rows); ++i) {
          out += ratio_line(ratios[i]);
        }
      }
    }
  } catch (const json::exception& error) {
    throw InputError(ExitCode::usage,
                     "--compare: a result lacks what it should hold: " + printable(error.what()));
  }
  return out;
}

}  // namespace diffuse::bench
