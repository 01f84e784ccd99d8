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

// One kernel pixel of a piece of channels of a panel; zero where there is no value.
template <int kStep, class Stored, class T>
void lay_out_piece(const std::byte* values, const Layout& layout, std::int64_t panel,
                   std::int64_t tap, std::int64_t begin, T* to) {
  const std::int64_t first = panel * layout.columns;
  const std::int64_t here = std::min(layout.columns, layout.out_channels - first);
  const std::int64_t count = std::min(kPiece<Stored>, layout.channels - begin);
  Stored piece[kPiece<Stored>][kMostColumns] = {};
  for (std::int64_t column = 0; column < here; ++column) {
    const std::int64_t from = ((first + column) * layout.channels + begin) * layout.taps + tap;
    for (std::int64_t c = 0; c < count; ++c) {
      piece[c][column] = stored_at<Stored>(values, from + c * layout.taps);
    }
  }
  to += layout.at(panel, tap, begin);
  for (std::int64_t c = 0; c < count; c += kStep, to += layout.columns * kStep) {
    for (std::int64_t column = 0; column < layout.columns; ++column) {
      for (std::int64_t s = 0; s < kStep; ++s) {
        to[column * kStep + s] = held_value<T>(piece[c + s][column]);
      }
    }
  }
}

template <int kStep, class Stored, class T>
void lay_out(const std::byte* values, const Layout& layout, T* to) {
  const std::int64_t pieces = blocks_of(layout.padded, kPiece<Stored>);
  parallel_for(layout.panels() * pieces, [&](std::int64_t item, int) {
    for (std::int64_t tap = 0; tap < layout.taps; ++tap) {
      lay_out_piece<kStep, Stored>(values, layout, item / pieces, tap,
                                   item % pieces * kPiece<Stored>, to);
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
      lay_out<1, Stored>(values, layout, to);
    } else {
      lay_out<2, Stored>(values, layout, to);
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
