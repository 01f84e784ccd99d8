#define DIFFUSE_CPU_ISA sse
#include "kernels/cpu/isa/vector_sse.hpp"
// The vector header comes first: the tables are written in its terms.
#include "kernels/cpu/isa/table.inl.hpp"

namespace diffuse::cpu {

const KernelTable* sse_kernels() {
  static constexpr KernelTable kTable{sse::typed_kernels<float, sse::F32Products>(), nullptr};
  return &kTable;
}

}  // namespace diffuse::cpu
