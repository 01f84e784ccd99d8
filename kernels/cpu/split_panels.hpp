#pragma once

#include "kernels/cpu/memory.hpp"
#include "kernels/cpu/panel_operands.hpp"
#include "kernels/cpu/panel_weight.hpp"

namespace diffuse::cpu {

/// Linear layers and direct convolutions in f32 where a tile unit multiplies bf16 so fast that
/// numbers which are sums of bf16 ones (isa/split_tiles.inl.hpp) are done before the vector unit
/// would be. A strip of pixels is split once for many panels of weights, a panel once for a strip.
/// The order of a pixel's sum is that of its kernel's pixels and channels, whatever strip it is in.
void run_split(const Convolution& shape, const PanelOperands& operands, const PanelWeight& weight,
               const PanelKernels& kernels, Scratch& scratch);

}  // namespace diffuse::cpu
