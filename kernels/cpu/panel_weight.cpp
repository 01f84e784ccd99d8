#include "kernels/cpu/panel_weight.hpp"

#include <algorithm>
#include <cstring>

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
template <class Stored>
constexpr std::int64_t kPiece = 64 / sizeof(Stored);
constexpr std::int64_t kMostColumns = 64;

// One kernel pixel of a piece of channels of a panel, in the panel's order. What has no value is
// not written.
template <int kStep, class Stored>
void pick_piece(const std::byte* values, const Layout& layout, std::int64_t panel, std::int64_t tap,
                std::int64_t begin, Stored* piece) {
  const std::int64_t first = panel * layout.columns;
  const std::int64_t here = std::min(layout.columns, layout.out_channels - first);
  const std::int64_t count = std::min(kPiece<Stored>, layout.channels - begin);
  const std::int64_t line = layout.columns * kStep;
  for (std::int64_t column = 0; column < here; ++column) {
    const std::int64_t from = ((first + column) * layout.channels + begin) * layout.taps + tap;
    Stored* to = piece + column * kStep;
    std::int64_t c = 0;
    if (layout.taps == 1) {
      for (; c + kStep <= count; c += kStep, to += line) {
        std::memcpy(to, values + (from + c) * static_cast<std::int64_t>(sizeof(Stored)),
                    kStep * sizeof(Stored));
      }
    }
    for (; c < count; c += kStep, to += line) {
      for (std::int64_t s = 0; s < kStep && c + s < count; ++s) {
        to[s] = stored_at<Stored>(values, from + (c + s) * layout.taps);
      }
    }
  }
}

template <int kStep, class Stored, class T>
void lay_out(const std::byte* values, const Layout& layout, const PanelKernels& kernels, T* to) {
  const std::int64_t pieces = blocks_of(layout.padded, kPiece<Stored>);
  parallel_for(layout.panels() * pieces, [&](std::int64_t item, int) {
    const std::int64_t panel = item / pieces, begin = item % pieces * kPiece<Stored>;
    const std::int64_t count = std::min(kPiece<Stored>, layout.padded - begin) * layout.columns;
    alignas(64) Stored piece[kPiece<Stored> * kMostColumns] = {};
    for (std::int64_t tap = 0; tap < layout.taps; ++tap) {
      pick_piece<kStep>(values, layout, panel, tap, begin, piece);
      hold(kernels, piece, count, to + layout.at(panel, tap, begin));
    }
  });
}

}  // namespace

std::int64_t panel_values(const PanelKernels& kernels, std::int64_t depth, DType dtype) {
  const std::int64_t step = panel_step(dtype);
  return blocks_of(depth, step) * step * kernels.columns;
}

std::shared_ptr<const PanelWeight> prepare_panels(const WeightInput& input,
                                                  const PanelKernels& kernels,
                                                  const Convolution& shape) {
  const Layout layout(kernels, shape);
  auto weight = std::make_shared<PanelWeight>();
  weight->held = held_as(input.dtype, shape.dtype);
  const WeightMemory::Block block = input.allocate(static_cast<std::size_t>(
      layout.panels() * layout.panel_values() * held_bytes(weight->held, shape.dtype)));
  weight->data = block.data;
  if (!block.fill) return weight;
  const std::byte* values = input.values();
  with_types(input.dtype, shape.dtype, [&]<class Stored, class T>(Stored, T) {
    auto* to = static_cast<T*>(weight->data.get());
    if (layout.step == 1) {
      lay_out<1, Stored>(values, layout, kernels, to);
    } else {
      lay_out<2, Stored>(values, layout, kernels, to);
    }
  });
  return weight;
}

std::vector<std::byte> values_of(const PanelWeight& weight, const PanelKernels& kernels,
                                 const Convolution& shape) {
  const Layout layout(kernels, shape);
  const std::int64_t each = held_bytes(weight.held, shape.dtype);
  std::vector<std::byte> values(
      static_cast<std::size_t>(layout.out_channels * layout.channels * layout.taps * each));
  const auto* from = static_cast<const std::byte*>(weight.data.get());
  parallel_for(layout.out_channels, [&](std::int64_t o, int) {
    std::byte* to = values.data() + o * layout.channels * layout.taps * each;
    for (std::int64_t c = 0; c < layout.channels; ++c) {
      for (std::int64_t tap = 0; tap < layout.taps; ++tap) {
        const std::int64_t at = layout.at(o / layout.columns, tap, c - c % layout.step) +
                                o % layout.columns * layout.step + c % layout.step;
        std::memcpy(to + (c * layout.taps + tap) * each, from + at * each,
                    static_cast<std::size_t>(each));
      }
    }
  });
  return values;
}

}  // namespace diffuse::cpu
