#define DIFFUSE_CPU_ISA host_tiles
#include "kernels/cpu/isa/vector_avx512.hpp"
// The vector header comes first: the others are written in its terms.
// clang-format off
#include "kernels/cpu/isa/table_tiles.inl.hpp"
#include "tests/conformance/host_tiles.hpp"
// clang-format on

namespace diffuse::test {

const cpu::KernelTable* host_tile_kernels() { return cpu::host_tiles::tile_table<HostTiles>(); }

}  // namespace diffuse::test
