#pragma once

#include <iostream>

#include "kernels/cpu/isa.hpp"
#include "kernels/cpu/tile_permission.hpp"

namespace diffuse::test {

/// Can the kernels for tiles run here on the twin of a tile unit? Says so if not.
inline bool machine_has_avx512_bf16() {
  if (cpu::best_isa() >= cpu::Isa::avx512_bf16) return true;
  std::cout << "not run: this machine or build has no avx512_bf16\n";
  return false;
}

/// Can they run on the unit itself?
inline bool machine_has_tiles() {
  if (cpu::tiles_granted() && cpu::best_isa() >= cpu::Isa::amx_bf16) return true;
  std::cout << "not run: this machine or build has no amx_bf16\n";
  return false;
}

}  // namespace diffuse::test
