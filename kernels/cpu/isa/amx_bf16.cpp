#define DIFFUSE_CPU_ISA amx_bf16
#include "kernels/cpu/isa/vector_avx512.hpp"
// The vector header comes first: the others are written in its terms.
// clang-format off
#include "kernels/cpu/isa/table_tiles.inl.hpp"
#include "kernels/cpu/isa/tiles.hpp"
// clang-format on

namespace diffuse::cpu {

const KernelTable* amx_bf16_kernels() { return amx_bf16::tile_table<AmxTiles>(); }

}  // namespace diffuse::cpu
