#define DIFFUSE_CPU_ISA avx512_bf16
#include "kernels/cpu/isa/vector_avx512.hpp"
// The vector header comes first: the tables are written in its terms.
#include "kernels/cpu/isa/table.inl.hpp"

namespace diffuse::cpu {

const KernelTable* avx512_bf16_kernels() {
  static constexpr TypedKernels kBf16 =
      avx512_bf16::typed_kernels<Bf16, avx512_bf16::Bf16Products>();
  static constexpr KernelTable kTable{avx512_bf16::typed_kernels<float, avx512_bf16::F32Products>(),
                                      &kBf16};
  return &kTable;
}

}  // namespace diffuse::cpu
