#include "kernels/cpu/kernel_weight.hpp"

#include <vector>

#include "kernels/cpu/memory.hpp"

namespace diffuse::cpu {
namespace {

WeightInput own_memory(const std::vector<float>& values) {
  return {[](std::size_t bytes) {
            return WeightMemory::Block{allocate_aligned(bytes), true};
          },
          [&values] { return values.data(); }};
}

}  // namespace

const WinogradWeight& winograd_form(const KernelWeight& weight, OneDnn& onednn) {
  if (!weight.winograd) {
    const std::vector<float> values = onednn.values_of(*weight.direct, weight.usual);
    weight.winograd = prepare_winograd(own_memory(values), weight.usual);
    if (!weight.guess_replaced) weight.direct.reset();
    weight.guess_replaced = true;
  }
  return *weight.winograd;
}

const ConvolutionWeight& direct_form(const KernelWeight& weight, OneDnn& onednn) {
  if (!weight.direct) {
    const std::vector<float> values = values_of(*weight.winograd, weight.usual);
    weight.direct = onednn.prepare(own_memory(values), weight.usual);
    if (!weight.guess_replaced) weight.winograd.reset();
    weight.guess_replaced = true;
  }
  return *weight.direct;
}

}  // namespace diffuse::cpu
