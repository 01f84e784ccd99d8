#pragma once

#include <vector>

#include "core/base/dtype.hpp"

namespace diffuse::bench {

/// What the machine can do at most, measured: the denominators of "per cent of peak".
struct Peaks {
  std::vector<double> f32_core;   ///< FLOP/s of f32 fused multiply-adds, each core by itself
  double f32 = 0;                 ///< all cores at once
  std::vector<double> bf16_core;  ///< FLOP/s of bf16 dot products; empty where there are none
  double bf16 = 0;
  double bf16_vectors = 0;  ///< where bf16 is that of a tile unit: all cores' vector units instead
  double copy = 0;          ///< bytes read and written per second by streaming copies on all cores
  double clock = 0;         ///< Hz, from a chain of dependent multiplications
};

/// CPUs that this process may run on, ascending.
std::vector<int> own_cpus();

/// Measures on the first `threads` of own_cpus(), a thread each: the best of many short windows, so
/// that another process on a core spoils some windows and not the figure. About a second. `tiles`:
/// the bf16 rate is that of the tile unit, which this process may use. On processors other than
/// x86-64, FLOP rates stay 0.
Peaks measure_peaks(int threads, bool tiles);

/// What the loop of measure_peaks for products in `dtype` does right now, FLOP/s: the median of a
/// millisecond of windows, 0 where there is no such loop. A processor whose vector units have been
/// busy keeps a lower clock than in the best window of a rested one, for milliseconds after too: to
/// be called while it is still warm.
double rate_now(DType dtype, int threads, bool tiles);

/// The better of two measurements, figure by figure.
Peaks better(Peaks a, const Peaks& b);

}  // namespace diffuse::bench
