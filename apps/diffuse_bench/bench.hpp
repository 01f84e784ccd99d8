#pragma once

#include "apps/diffuse_bench/options.hpp"
#include "apps/diffuse_bench/result.hpp"

namespace diffuse::bench {

/// Measures what the options ask for. Throws the renderer's errors for models and devices.
BenchResult run_bench(const BenchOptions& options);

}  // namespace diffuse::bench
