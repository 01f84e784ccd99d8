#include "apps/diffuse_bench/bench.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <istream>
#include <map>
#include <ostream>

#include "apps/diffuse_batch/find_model.hpp"
#include "apps/diffuse_batch/run_summary.hpp"
#include "apps/diffuse_bench/networks.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/threads.hpp"
#include "core/tensor/shape_backend.hpp"
#include "kernels/make_backend.hpp"
#include "mpi/launcher.hpp"

namespace diffuse::bench {
namespace {

std::string utc_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

// The value of the first line "KEY : VALUE" of a file of /proc.
std::string proc_value(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const std::size_t colon = line.find(':');
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? std::string{} : line.substr(begin);
  }
  return {};
}

std::string cpu_name() {
  const std::string name = proc_value("/proc/cpuinfo", "model name");
  return (name.empty() ? "unknown processor" : name) + " (family " +
         proc_value("/proc/cpuinfo", "cpu family") + ", model " +
         proc_value("/proc/cpuinfo", "model\t") + ")";
}

std::vector<double> load_averages() {
  std::vector<double> load(3, 0.0);
  if (getloadavg(load.data(), 3) != 3) load.assign(3, 0.0);
  return load;
}

// Forgets the largest size so far (Linux): what follows is measured by itself.
void reset_peak_rss() { std::ofstream("/proc/self/clear_refs") << 5; }

std::vector<std::string> wanted_networks(const BenchOptions& o) {
  std::vector<std::string> wanted;
  for (const std::string& name : network_names()) {
    const bool asked = std::find(o.networks.begin(), o.networks.end(), name) != o.networks.end();
    if (o.networks.empty() || asked) wanted.push_back(name);
  }
  return wanted;
}

// What every measurement begins with.
struct Setup {
  explicit Setup(const BenchOptions& o)
      : model(find_model(o.model, mpi::process_environment)),
        folder(ModelFolder::open(model, {})),
        threads(prepare_threads(o.threads, 0, 1).threads),
        backend(make_backend(
            "cpu", {.threads = threads, .force_isa = {}, .lean = o.lean, .device_index = 0})) {
    const bool bf16 =
        o.dtype == "bf16" || (o.dtype == "auto" && backend->refuses(DType::bf16).empty());
    settings = {.dtype = bf16 ? DType::bf16 : DType::f32,
                .width = o.width,
                .height = o.height,
                .batch_size = o.batch_size,
                .steps = o.repeats};
  }

  std::string model;
  ModelFolder folder;
  int threads;
  std::unique_ptr<Backend> backend;
  NetworkSettings settings;
};

}  // namespace

void serve(const BenchOptions& o, std::istream& in, std::ostream& out) {
  constexpr int kMostPasses = 40;
  Setup setup(o);
  setup.settings.steps = kMostPasses;
  Networks networks(setup.folder, *setup.backend, setup.settings, false);
  std::map<std::string, const Program*> programs;
  for (const std::string& name : wanted_networks(o)) programs[name] = &networks.program(name);
  out << "ready" << std::endl;
  int passes = 0;
  for (std::string name; std::getline(in, name) && passes < kMostPasses; ++passes) {
    const auto found = programs.find(name);
    if (found == programs.end()) throw ConfigError("no network of this run: " + printable(name));
    NetworkResult result = list_ops(name, *found->second, {});
    time_ops(result, *found->second, *setup.backend, 1, {}, {});
    out << nlohmann::json{{"seconds", result.seconds()}, {"peak_rss_bytes", peak_memory()}}.dump()
        << std::endl;
  }
}

BenchResult run_bench(const BenchOptions& o) {
  BenchResult result;
  result.date = utc_date();
  result.cpu = cpu_name();
  result.load_before = load_averages();
  const Setup setup(o);
  result.model = setup.model;
  result.threads = setup.threads;
  result.batch_size = o.batch_size;
  result.backend = setup.backend->numerics();
  result.dtype = setup.settings.dtype;
  const std::optional<std::regex> filter =
      o.filter.empty() ? std::nullopt : std::make_optional<std::regex>(o.filter);
  const bool tiles = result.backend.find("amx_bf16") != std::string::npos;
  if (!o.floors) result.peaks = measure_peaks(result.threads, tiles);
  reset_peak_rss();

  ShapeBackend shapes;
  Networks floors(setup.folder, shapes, setup.settings, true);
  Networks networks(setup.folder, *setup.backend, setup.settings, o.floors);
  result.width = floors.settings().width;
  result.height = floors.settings().height;
  for (const std::string& name : wanted_networks(o)) {
    const Program& shape_program = floors.program(name);
    const Program& program = o.floors ? shape_program : networks.program(name);
    NetworkResult network = list_ops(name, program, filter);
    network.shape_flops = list_ops(name, shape_program, {}).flops();
    if (!o.floors) {
      time_ops(network, program, *setup.backend, o.repeats, filter,
               [&] { return rate_now(result.dtype, result.threads, tiles); });
    }
    result.networks.push_back(std::move(network));
  }
  result.peak_rss_bytes = static_cast<std::size_t>(peak_memory());

  // Once more at the end: another program may have held the cores at the start.
  if (!o.floors) result.peaks = better(result.peaks, measure_peaks(result.threads, tiles));
  for (NetworkResult& network : result.networks) {
    set_floors(network, result.peaks, result.dtype);
  }
  result.load_after = load_averages();
  return result;
}

}  // namespace diffuse::bench
