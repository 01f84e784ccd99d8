#pragma once

#include <cstdint>

#include "kernels/cpu/kernels.hpp"

namespace diffuse::test {

/// What kernels/cpu/isa/tiles.hpp does, on tiles in memory, after Intel's description of the
/// instructions. Throws std::logic_error where a register is used that nothing was written to, or
/// outside of begin and end.
class HostTiles {
 public:
  static void begin();
  static void end();
  static void zero(int tile);
  static void load(int tile, const void* from, std::int64_t stride);
  static void store(int tile, void* to, std::int64_t stride);
  static void multiply_add(int sum, int a, int b);

  template <int kTile>
  static void zero() {
    zero(kTile);
  }
  template <int kTile>
  static void load(const void* from, std::int64_t stride) {
    load(kTile, from, stride);
  }
  template <int kTile>
  static void load_once(const void* from, std::int64_t stride) {
    load(kTile, from, stride);
  }
  template <int kTile>
  static void store(void* to, std::int64_t stride) {
    store(kTile, to, stride);
  }
  template <int kSum, int kA, int kB>
  static void multiply_add() {
    multiply_add(kSum, kA, kB);
  }
};

/// The kernels of amx_bf16, on these tiles; for machines that have avx512_bf16.
const cpu::KernelTable* host_tile_kernels();

}  // namespace diffuse::test
