#include "apps/diffuse_bench/options.hpp"

#include <CLI/CLI.hpp>
#include <regex>

#include "apps/diffuse_bench/networks.hpp"
#include "core/base/text.hpp"

namespace diffuse::bench {
namespace {

void add_options(CLI::App& app, BenchOptions& o) {
  app.add_option("--model", o.model,
                 "Model folder (default: DIFFUSE_BATCH_MODEL, else the model that ships)");
  app.add_option("--dtype", o.dtype, "Type of activations and weights")
      ->check(CLI::IsMember({"auto", "f32", "bf16"}))
      ->capture_default_str();
  app.add_option("--threads", o.threads, "CPU threads (default: all cores)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--width", o.width, "Pixels")->check(CLI::Range(1, 32768));
  app.add_option("--height", o.height, "Pixels")->check(CLI::Range(1, 32768));
  app.add_option("--batch-size", o.batch_size, "Pictures of a step")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--repeats", o.repeats, "Passes that the medians are taken over")
      ->check(CLI::Range(1, 900))
      ->capture_default_str();
  app.add_option("--network", o.networks, "Networks to measure (default: all)")
      ->delimiter(',')
      ->check(CLI::IsMember(network_names()));
  app.add_option("--filter", o.filter,
                 "Measure only ops whose label matches this regular expression, e.g. 'conv2d 3x3'");
  app.add_flag("--lean", o.lean, "As diffuse-batch's --memory lean");
  app.add_flag("--floors", o.floors, "Operations, bytes and memory from shapes alone; no times");
  app.add_flag("--serve", o.serve,
               "Read names of networks from standard input, time one pass of each");
  app.add_option("--rows", o.rows, "Rows of each table of ops")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--json", o.json, "Write the result to FILE (-: standard output, no tables)");
  app.add_option("--compare", o.compare, "Print the ratios of two results: A.json B.json")
      ->expected(2);
}

std::string check_filter(const std::string& filter) {
  try {
    std::regex{filter};
  } catch (const std::regex_error& error) {
    return "--filter: '" + printable(filter, 40) + "' is no regular expression: " + error.what();
  }
  return {};
}

}  // namespace

ParsedBenchOptions parse_bench_options(int argc, char** argv) {
  ParsedBenchOptions parsed;
  CLI::App app{
      "Measures a model's networks op by op beside what this machine can do at most:\n"
      "  diffuse_bench --model DIR --dtype f32 --json f32.json"};
  app.name("diffuse_bench");
  add_options(app, parsed.options);
  try {
    app.parse(argc, argv);
    parsed.error = check_filter(parsed.options.filter);
  } catch (const CLI::CallForHelp&) {
    parsed.output = app.help();
  } catch (const CLI::ParseError& error) {
    parsed.error = printable(error.what(), 400);
  }
  return parsed;
}

}  // namespace diffuse::bench
