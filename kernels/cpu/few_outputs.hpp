#pragma once

#include <memory>

#include "core/tensor/op.hpp"
#include "kernels/cpu/convolution.hpp"
#include "kernels/cpu/kernels.hpp"
#include "kernels/cpu/memory.hpp"
#include "kernels/cpu/panel_weight.hpp"

namespace diffuse::cpu {

// Convolutions from many channels to a few, as at the end of a UNet and of a VAE decoder: an output
// channel alone would fill a fraction of a vector. So every pixel of the kernel has columns of its
// own, y'[p, tap, o] = sum_c x[p, c] W[o, c, tap], and an output adds what its neighbours have for
// it: y[p, o] = sum_tap y'[p + tap, tap, o]. Pixels are independent until then, and the sums run
// over the channels, then over the kernel's pixels, in their order: the same bytes in any batch and
// with any number of threads.

/// Are convolutions of these kernels done here? The pictures' size does not matter.
bool has_few_outputs(const Convolution& shape);

/// `input`: values [O, C, kh, kw].
std::shared_ptr<const PanelWeight> prepare_few_outputs(const WeightInput& input,
                                                       const PanelKernels& kernels,
                                                       const Convolution& shape);

void run_few_outputs(const Conv2dOp& op, const PanelWeight& weight, const PanelKernels& kernels,
                     Scratch& scratch);

}  // namespace diffuse::cpu
