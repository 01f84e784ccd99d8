#include "kernels/cpu/panel_weight.hpp"

#include <algorithm>
#include <type_traits>

#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/parallel.hpp"

namespace diffuse::cpu {
namespace {

// Where the values of a weight lie in its panels.
struct Layout {
  std::int64_t columns;                 // of the kernels
  std::int64_t step;                    // channels that lie together
  std::int64_t out_channels, channels;  // of the weight
  std::int64_t taps;                    // pixels of its kernel
  std::int64_t padded;                  // channels in whole steps

  Layout(const PanelKernels& kernels, const Convolution& shape)
      : columns(kernels.columns),
        step(panel_step(shape.dtype)),
        out_channels(shape.out_channels),
        channels(shape.channels),
        taps(shape.kernel_height * shape.kernel_width),
        padded(blocks_of(channels, step) * step) {}

  [[nodiscard]] std::int64_t panels() const { return blocks_of(out_channels, columns); }
  [[nodiscard]] std::int64_t panel_values() const { return taps * padded * columns; }
  /// Of a channel that begins a step, and the first column.
  [[nodiscard]] std::int64_t at(std::int64_t panel, std::int64_t tap, std::int64_t channel) const {
    return panel * panel_values() + (tap * padded + channel) * columns;
  }
};

// Channels that are laid out at once: a line of every output channel, which lie far apart, often on
// the same cache lines.
constexpr std::int64_t kPiece = 16;
constexpr std::int64_t kMostColumns = 64;

// One kernel pixel of a piece of channels of a panel; zero where there is no value.
template <class T>
void lay_out_piece(const float* values, const Layout& layout, std::int64_t panel, std::int64_t tap,
                   std::int64_t begin, T* to) {
  constexpr std::int64_t kStep = panel_step(std::is_same_v<T, float> ? DType::f32 : DType::bf16);
  const std::int64_t first = panel * layout.columns;
  const std::int64_t here = std::min(layout.columns, layout.out_channels - first);
  const std::int64_t count = std::min(kPiece, layout.channels - begin);
  float piece[kPiece][kMostColumns] = {};
  for (std::int64_t column = 0; column < here; ++column) {
    const float* from = values + ((first + column) * layout.channels + begin) * layout.taps + tap;
    for (std::int64_t c = 0; c < count; ++c) piece[c][column] = from[c * layout.taps];
  }
  to += layout.at(panel, tap, begin);
  for (std::int64_t c = 0; c < count; c += kStep, to += layout.columns * kStep) {
    for (std::int64_t column = 0; column < layout.columns; ++column) {
      for (std::int64_t s = 0; s < kStep; ++s) {
        if constexpr (std::is_same_v<T, float>) {
          to[column] = piece[c][column];
        } else {
          to[column * kStep + s] = to_bf16(piece[c + s][column]);
        }
      }
    }
  }
}

template <class T>
void lay_out(const float* values, const Layout& layout, T* to) {
  const std::int64_t pieces = blocks_of(layout.padded, kPiece);
  parallel_for(layout.panels() * pieces, [&](std::int64_t item, int) {
    for (std::int64_t tap = 0; tap < layout.taps; ++tap) {
      lay_out_piece(values, layout, item / pieces, tap, item % pieces * kPiece, to);
    }
  });
}

}  // namespace

std::int64_t panel_bytes(const PanelKernels& kernels, std::int64_t depth, DType dtype) {
  const std::int64_t step = panel_step(dtype);
  return blocks_of(depth, step) * step * kernels.columns *
         static_cast<std::int64_t>(size_of(dtype));
}

std::shared_ptr<const PanelWeight> prepare_panels(const WeightInput& input,
                                                  const PanelKernels& kernels,
                                                  const Convolution& shape) {
  const Layout layout(kernels, shape);
  auto weight = std::make_shared<PanelWeight>();
  const WeightMemory::Block block = input.allocate(
      static_cast<std::size_t>(layout.panels() * layout.panel_values()) * size_of(shape.dtype));
  weight->data = block.data;
  if (!block.fill) return weight;
  if (shape.dtype == DType::f32) {
    lay_out(input.values(), layout, static_cast<float*>(weight->data.get()));
  } else {
    lay_out(input.values(), layout, static_cast<Bf16*>(weight->data.get()));
  }
  return weight;
}

std::vector<float> values_of(const PanelWeight& weight, const PanelKernels& kernels,
                             const Convolution& shape) {
  const Layout layout(kernels, shape);
  std::vector<float> values(
      static_cast<std::size_t>(layout.out_channels * layout.channels * layout.taps));
  parallel_for(layout.out_channels, [&](std::int64_t o, int) {
    float* to = values.data() + o * layout.channels * layout.taps;
    for (std::int64_t c = 0; c < layout.channels; ++c) {
      for (std::int64_t tap = 0; tap < layout.taps; ++tap) {
        const std::int64_t at = layout.at(o / layout.columns, tap, c - c % layout.step) +
                                o % layout.columns * layout.step + c % layout.step;
        to[c * layout.taps + tap] = shape.dtype == DType::f32
                                        ? static_cast<const float*>(weight.data.get())[at]
                                        : to_float(static_cast<const Bf16*>(weight.data.get())[at]);
      }
    }
  });
  return values;
}

}  // namespace diffuse::cpu
