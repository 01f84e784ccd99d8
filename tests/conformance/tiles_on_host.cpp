#include "kernels/cpu/kernels.hpp"
#include "kernels/cpu/tile_permission.hpp"
#include "tests/conformance/host_tiles.hpp"

// A program with this file has the instruction set amx_bf16 on every machine that has avx512_bf16:
// these functions stand in for those of the library, which the linker then leaves out.
namespace diffuse::cpu {

bool tiles_granted() { return true; }

const KernelTable* amx_bf16_kernels() { return test::host_tile_kernels(); }

}  // namespace diffuse::cpu
