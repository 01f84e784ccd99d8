#pragma once

#include <iosfwd>

#include "apps/diffuse_bench/options.hpp"
#include "apps/diffuse_bench/result.hpp"

namespace diffuse::bench {

/// Measures what the options ask for. Throws the renderer's errors for models and devices.
BenchResult run_bench(const BenchOptions& options);

/// For scripts that let several programs take turns: loads the networks, says "ready", then reads
/// names of networks, a line each, and answers each with the seconds of one pass as JSON.
void serve(const BenchOptions& options, std::istream& in, std::ostream& out);

}  // namespace diffuse::bench
