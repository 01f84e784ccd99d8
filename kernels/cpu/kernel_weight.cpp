#include "kernels/cpu/kernel_weight.hpp"

#include <vector>

#include "kernels/cpu/memory.hpp"

namespace diffuse::cpu {
namespace {

WeightInput own_memory(const std::vector<std::byte>& values, Held held, DType use) {
  return {[](std::size_t bytes) {
            return WeightMemory::Block{allocate_aligned(bytes), true};
          },
          held_dtype(held, use), [&values] { return values.data(); }};
}

}  // namespace

const WinogradWeight& winograd_form(const KernelWeight& weight, const PanelKernels& kernels) {
  if (!weight.winograd) {
    const std::vector<std::byte> values = values_of(*weight.panels, kernels, weight.usual);
    weight.winograd = prepare_winograd(own_memory(values, weight.panels->held, weight.usual.dtype),
                                       kernels, weight.usual);
    if (!weight.guess_replaced) weight.panels.reset();
    weight.guess_replaced = true;
  }
  return *weight.winograd;
}

const PanelWeight& panel_form(const KernelWeight& weight, const PanelKernels& kernels) {
  if (!weight.panels) {
    const std::vector<std::byte> values = values_of(*weight.winograd, weight.usual);
    weight.panels = prepare_panels(own_memory(values, weight.winograd->held, weight.usual.dtype),
                                   kernels, weight.usual);
    if (!weight.guess_replaced) weight.winograd.reset();
    weight.guess_replaced = true;
  }
  return *weight.panels;
}

}  // namespace diffuse::cpu
