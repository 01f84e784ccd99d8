#pragma once

#include "kernels/cpu/memory.hpp"
#include "kernels/cpu/panel_operands.hpp"
#include "kernels/cpu/panel_weight.hpp"

namespace diffuse::cpu {

/// Linear layers and direct convolutions for kernels on a tile unit, which multiply so fast that
/// the way to memory decides. A strip of pixels stays in the second cache of a core while all
/// panels of weights pass by. A convolution's strip is a copy with the zeros around its pictures
/// in it, so that the pixels which a row of the kernel sees are one row of a matrix, and every row
/// lies as far from the next. The order of a pixel's sum is that of its kernel's rows, pixels and
/// channels, whatever strip it is in.
void run_on_tiles(const Convolution& shape, const PanelOperands& operands,
                  const PanelWeight& weight, const PanelKernels& kernels, Scratch& scratch);

}  // namespace diffuse::cpu
