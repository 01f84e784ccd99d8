#pragma once

#include "core/tensor/op.hpp"
#include "kernels/cpu/convolution.hpp"
#include "kernels/cpu/kernels.hpp"
#include "kernels/cpu/memory.hpp"
#include "kernels/cpu/panel_weight.hpp"

namespace diffuse::cpu {

// Linear layers and direct convolutions on packed panels of weights. A linear layer's rows, and a
// convolution's pixels, are cut into strips, the output channels into panels; a strip meets a panel
// pixel by pixel of the kernel, in pieces that stay in cache while the next one is fetched. A
// kernel pixel outside of the picture costs nothing. Each sum runs over the kernel's pixels and the
// channels in their order, so that a pixel gets the same bytes in any batch and with any number of
// threads.

/// Are convolutions of these kernels done here, whatever the size of their pictures?
bool fills_panels(const Convolution& shape);

/// Can a linear layer of these weights end in GEGLU? Its values and its gates then lie in whole
/// panels.
bool fills_gated_panels(const Weight& weight, const PanelKernels& kernels);

void run_panels(const LinearOp& op, const PanelWeight& weight, const PanelKernels& kernels,
                Scratch& scratch);
void run_panels(const Conv2dOp& op, const PanelWeight& weight, const PanelKernels& kernels,
                Scratch& scratch);

}  // namespace diffuse::cpu
