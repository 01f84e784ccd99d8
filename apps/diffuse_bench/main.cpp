#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>

#include "apps/diffuse_bench/bench.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/threads.hpp"

namespace {

using diffuse::Error;
using diffuse::ExitCode;

void perform(const diffuse::bench::BenchOptions& o) {
  using namespace diffuse::bench;
  if (!o.compare.empty()) {
    std::cout << comparison(o.compare[0], o.compare[1], o.rows);
    return;
  }
  if (o.serve) {
    serve(o, std::cin, std::cout);
    return;
  }
  const BenchResult result = run_bench(o);
  if (o.json != "-") std::cout << table(result, o.rows);
  if (o.json.empty()) return;
  const std::string text = to_json(result).dump(1) + "\n";
  if (o.json == "-") {
    std::cout << text;
    return;
  }
  std::ofstream file(o.json);
  file << text << std::flush;
  if (!file) {
    throw diffuse::InputError(ExitCode::bad_output,
                              "--json: " + diffuse::printable(o.json) + " cannot be written");
  }
}

int fail(ExitCode code, const char* message) {
  std::fprintf(stderr, "diffuse_bench: error[%d]: %s\n", static_cast<int>(code), message);
  return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto parsed = diffuse::bench::parse_bench_options(argc, argv);
    if (!parsed.error.empty()) return fail(ExitCode::usage, parsed.error.c_str());
    if (!parsed.output.empty()) {
      std::cout << parsed.output;
      return 0;
    }
    diffuse::restart_with_threads(parsed.options.threads, argv);
    perform(parsed.options);
    return 0;
  } catch (const Error& error) {
    return fail(error.code(), error.what());
  } catch (const std::exception& error) {
    return fail(ExitCode::bug, error.what());
  }
}
