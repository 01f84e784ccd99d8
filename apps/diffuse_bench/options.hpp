#pragma once

#include <string>
#include <vector>

namespace diffuse::bench {

/// The command line of diffuse_bench.
struct BenchOptions {
  std::string model;           ///< as of diffuse-batch
  std::string dtype = "auto";  ///< "auto": bf16 where it is native, else f32
  bool lean = false;           ///< as --memory lean of diffuse-batch
  int threads = 0;             ///< 0: all cores
  int width = 0, height = 0;   ///< 0: as the model was trained
  int batch_size = 1;
  int repeats = 5;
  std::vector<std::string> networks;  ///< empty: all
  std::string filter;                 ///< regular expression over the labels of ops
  bool floors = false;                ///< shapes only: no weights, no times
  bool serve = false;                 ///< passes on request, see serve()
  int rows = 25;                      ///< of each table of ops
  std::string json;                   ///< file for the result, "-" = standard output
  std::vector<std::string> compare;   ///< two result files
};

struct ParsedBenchOptions {
  BenchOptions options;
  std::string error;   ///< a usage mistake, one line
  std::string output;  ///< --help: print this and end
};

ParsedBenchOptions parse_bench_options(int argc, char** argv);

}  // namespace diffuse::bench
