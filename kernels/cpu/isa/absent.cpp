#include "kernels/cpu/kernels.hpp"

// Tables that the compiler at hand cannot build.
namespace diffuse::cpu {

#ifdef DIFFUSE_NO_AVX2
const KernelTable* avx2_kernels() { return nullptr; }
#endif
#ifdef DIFFUSE_NO_AVX512
const KernelTable* avx512_kernels() { return nullptr; }
#endif
#ifdef DIFFUSE_NO_AVX512_BF16
const KernelTable* avx512_bf16_kernels() { return nullptr; }
#endif
#ifdef DIFFUSE_NO_AMX_BF16
const KernelTable* amx_bf16_kernels() { return nullptr; }
#endif

}  // namespace diffuse::cpu
