#pragma once

#include <memory>
#include <vector>

#include "core/tensor/op.hpp"
#include "kernels/cpu/convolution.hpp"
#include "kernels/cpu/kernels.hpp"
#include "kernels/cpu/memory.hpp"
#include "kernels/cpu/weights.hpp"

namespace diffuse::cpu {

/// 3x3 kernels as Winograd's F(4x4, 3x3) takes them, [panels][C][9][kWinogradPanel].
struct WinogradWeight final : PreparedWeight {
  std::shared_ptr<void> data;
  Held held = Held::as_multiplied;
};

/// Is a 3x3 convolution with stride 1 on pictures of that size done by Winograd? By the shape
/// alone.
bool prefers_winograd(const Convolution& usual);

/// `input`: values [O, C, 3, 3].
std::shared_ptr<const WinogradWeight> prepare_winograd(const WeightInput& input,
                                                       const PanelKernels& kernels,
                                                       const Convolution& usual);

/// The values [O, C, 3, 3] that were prepared, as they are held.
std::vector<std::byte> values_of(const WinogradWeight& weight, const Convolution& usual);

/// y = x * W + bias + residual for every picture of the batch; a picture gets the same bytes in any
/// batch and with any number of threads.
void run_winograd(const Conv2dOp& op, const WinogradWeight& weight, const WinogradKernels& kernels,
                  Scratch& scratch);

}  // namespace diffuse::cpu
