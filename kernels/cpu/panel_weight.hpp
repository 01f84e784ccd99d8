#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cpu/convolution.hpp"
#include "kernels/cpu/kernels.hpp"
#include "kernels/cpu/weights.hpp"

namespace diffuse::cpu {

/// A weight in panels of output channels, as the product kernels of one instruction set take it:
/// [panels][kernel pixels][C / step][columns][step], zero past the last channel.
struct PanelWeight final : PreparedWeight {
  std::shared_ptr<void> data;
  Held held = Held::as_multiplied;
};

/// Input channels that lie together: a word of 4 bytes.
constexpr std::int64_t panel_step(DType dtype) {
  return 4 / static_cast<std::int64_t>(size_of(dtype));
}

/// Values of one panel that `depth` input channels have.
std::int64_t panel_values(const PanelKernels& kernels, std::int64_t depth, DType dtype);

/// `input`: values [O, C, kh, kw].
std::shared_ptr<const PanelWeight> prepare_panels(const WeightInput& input,
                                                  const PanelKernels& kernels,
                                                  const Convolution& shape);

/// The values [O, C, kh, kw] that were prepared, as they are held.
std::vector<std::byte> values_of(const PanelWeight& weight, const PanelKernels& kernels,
                                 const Convolution& shape);

}  // namespace diffuse::cpu
