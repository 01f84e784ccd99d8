#define DIFFUSE_CPU_ISA avx512
#include "kernels/cpu/isa/vector_avx512.hpp"
// The vector header comes first: the tables are written in its terms.
#include "kernels/cpu/isa/table.inl.hpp"

namespace diffuse::cpu {

const KernelTable* avx512_kernels() {
  static constexpr KernelTable kTable{avx512::typed_kernels<float, avx512::F32Products>(), nullptr};
  return &kTable;
}

}  // namespace diffuse::cpu
