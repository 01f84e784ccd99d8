#define DIFFUSE_CPU_ISA avx2
#include "kernels/cpu/isa/vector_avx2.hpp"
// The vector header comes first: the tables are written in its terms.
#include "kernels/cpu/isa/table.inl.hpp"

namespace diffuse::cpu {

const KernelTable* avx2_kernels() {
  static constexpr KernelTable kTable{avx2::typed_kernels<float, avx2::F32Products>(), nullptr};
  return &kTable;
}

}  // namespace diffuse::cpu
