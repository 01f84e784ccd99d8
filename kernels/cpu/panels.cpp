#include "kernels/cpu/panels.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/panel_operands.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/split_panels.hpp"
#include "kernels/cpu/tile_panels.hpp"

namespace diffuse::cpu {
namespace {

// Pixels that a panel of weights meets while it is in the second cache of a core.
constexpr std::int64_t kStripPixels = 256;
// Bytes of a panel that are summed up at once: two of them, one being fetched, leave the second
// cache room for pixels.
constexpr std::int64_t kPieceBytes = std::int64_t{160} << 10;

// A linear layer is a 1x1 convolution of pictures whose pixels may lie apart.
Convolution convolution_of(const LinearOp& op) {
  Convolution c;
  c.batch = op.x.shape().rank() > 1 ? op.x.shape()[0] : 1;
  c.height = op.x.shape().rows() / c.batch;
  c.channels = op.weight.shape[1];
  c.out_channels = op.weight.shape[0];
  c.activation = op.activation;
  return c;
}

// A call of run_panels: strips of output pixels times panels of output channels.
class Run {
 public:
  Run(const Convolution& shape, const PanelOperands& operands, const PanelWeight& weight,
      const PanelKernels& kernels, Scratch& scratch)
      : shape_(shape),
        operands_(operands),
        weights_(static_cast<const std::byte*>(weight.data.get())),
        held_(weight.held),
        kernels_(kernels),
        pixels_(shape.batch * shape.out_height() * shape.out_width()),
        taps_(shape.kernel_height * shape.kernel_width),
        whole_(taps_ == 1 &&
               shape.pad_top + shape.pad_left + shape.pad_bottom + shape.pad_right == 0),
        tap_bytes_(held_bytes_of(shape.channels)),
        piece_(kPieceBytes / (4 * kernels.columns) * panel_step(operands.x.dtype())),
        strips_(blocks_of(pixels_, kStripPixels)),
        panels_(blocks_of(shape.out_channels, kernels.columns) / (operands.gated ? 2 : 1)),
        strips_inside_(blocks_of(shape.out_channels, kernels.columns) * taps_ * tap_bytes_ >
                       static_cast<std::int64_t>(operands.x.bytes())),
        past_caches_(goes_far(operands.y, shape, kernels)) {
    const std::int64_t here = std::min(pixels_, kStripPixels);
    sum_floats_ = here * kernels.columns;
    if (narrow()) widened_floats_ = std::min(piece_, shape.channels) * kernels.columns;
    const std::int64_t floats = sum_floats_ * (operands.gated ? 2 : 1) + widened_floats_;
    thread_bytes_ = static_cast<std::size_t>(floats) * sizeof(float) +
                    (static_cast<std::size_t>(here) * sizeof(ProductRow) + 63) / 64 * 64;
    memory_ = scratch.reserve(static_cast<std::size_t>(max_threads()) * thread_bytes_);
  }

  void all() const {
    const std::int64_t items = strips_ * panels_;
    const std::int64_t turn = turn_of(max_threads());
    parallel_for(blocks_of(items, turn), [&](std::int64_t i, int thread) {
      const std::int64_t end = std::min((i + 1) * turn, items);
      for (std::int64_t item = i * turn; item < end; ++item) {
        // Other threads take the turns between.
        const std::int64_t skipped = item + 1 == end ? (max_threads() - 1) * turn : 0;
        const std::int64_t coming = std::min(item + 1 + skipped, items - 1);
        if (operands_.gated) {
          one_gated(item, coming, thread);
        } else {
          one(item, coming, thread);
        }
      }
    });
  }

 private:
  // Items that a thread takes at a time: panels that meet the same strip, which stays in its second
  // cache, but few enough that all threads end together.
  [[nodiscard]] std::int64_t turn_of(int threads) const {
    constexpr std::int64_t kTurns = 16;  // of a thread, at least
    if (strips_inside_) return 1;
    return blocks_of(panels_, blocks_of(kTurns * threads, strips_));
  }
  // What is larger, weights or pixels, comes from memory once.
  [[nodiscard]] std::int64_t strip_of(std::int64_t item) const {
    return strips_inside_ ? item % strips_ : item / panels_;
  }
  [[nodiscard]] std::int64_t panel_of(std::int64_t item) const {
    return strips_inside_ ? item / strips_ : item % panels_;
  }
  [[nodiscard]] const std::byte* weights_of(std::int64_t panel) const {
    return weights_ + panel * taps_ * tap_bytes_;
  }
  // Bytes of some channels of a panel, as they are held.
  [[nodiscard]] std::int64_t held_bytes_of(std::int64_t channels) const {
    const DType dtype = operands_.x.dtype();
    return panel_values(kernels_, channels, dtype) * held_bytes(held_, dtype);
  }
  [[nodiscard]] bool narrow() const { return held_ != Held::as_multiplied; }

  // What an item is made of, and the memory of the thread that makes it.
  struct Item {
    std::int64_t panel, first, count;  // pixels [first, first + count)
    PanelOutput output;
    float *sums, *gates;  // [count][columns of a panel]; gates only where there are any
    float* widened;       // a piece of weights, where they are held narrow
    ProductRow* rows;
  };
  [[nodiscard]] Item item_of(std::int64_t item, int thread) const {
    const std::int64_t panel = panel_of(item);
    const std::int64_t first = strip_of(item) * kStripPixels;
    auto* sums =
        reinterpret_cast<float*>(memory_ + static_cast<std::size_t>(thread) * thread_bytes_);
    float* gates = sums + sum_floats_;
    float* widened = operands_.gated ? gates + sum_floats_ : gates;
    return {panel,
            first,
            std::min(kStripPixels, pixels_ - first),
            output_at(operands_, shape_.activation, first, panel * kernels_.columns, past_caches_),
            sums,
            gates,
            widened,
            reinterpret_cast<ProductRow*>(widened + widened_floats_)};
  }

  // One panel's sums for one strip. `coming`: the thread's next item.
  void one(std::int64_t item, std::int64_t coming, int thread) const {
    const auto [panel, first, count, output, sums, gates, widened, rows] = item_of(item, thread);
    PanelProduct product{};
    product.rows = rows;
    product.columns = std::min(kernels_.columns, shape_.out_channels - panel * kernels_.columns);
    product.next = weights_of(panel);
    if (strip_of(coming) != strip_of(item)) expect_strip(strip_of(coming), product);
    product.fresh = whole_;
    if (!product.fresh) std::fill_n(sums, count * kernels_.columns, 0.0F);
    for (std::int64_t tap = 0; tap < taps_; ++tap) {
      product.count = 0;
      for (std::int64_t p = 0; p < count; ++p) {
        const std::int64_t from = seen_pixel(shape_, first + p, tap);
        if (from < 0) continue;
        rows[product.count++] = {row_of(operands_.x, from, 0), sums + p * kernels_.columns};
      }
      const bool last = tap + 1 == taps_;
      add_tap(product, last ? weights_of(panel_of(coming)) : nullptr, whole_ ? &output : nullptr,
              widened);
    }
    if (whole_) return;
    for (std::int64_t p = 0; p < count; ++p) {  // nothing is read of x any more
      rows[p] = {row_of(operands_.x, 0, 0), sums + p * kernels_.columns};
    }
    product.first = 0;
    product.count = count;
    product.depth = 0;
    product.output = &output;
    kernels_.product(product);
  }

  // One panel's outputs for one strip, which meets the panel of their gates after it.
  void one_gated(std::int64_t item, std::int64_t coming, int thread) const {
    const auto [panel, first, count, output, values, gates, widened, rows] = item_of(item, thread);
    PanelProduct product{};
    product.rows = rows;
    product.count = count;
    product.columns = kernels_.columns;
    for (const bool of_gates : {false, true}) {
      for (std::int64_t p = 0; p < count; ++p) {
        rows[p] = {row_of(operands_.x, first + p, 0),
                   (of_gates ? gates : values) + p * kernels_.columns};
      }
      if (of_gates && strip_of(coming) != strip_of(item)) expect_strip(strip_of(coming), product);
      product.fresh = true;
      product.next = weights_of(of_gates ? panels_ + panel : panel);
      add_tap(product, weights_of(of_gates ? panel_of(coming) : panels_ + panel), nullptr, widened);
    }
    const float* gate_bias =
        output.bias == nullptr ? nullptr : output.bias + panels_ * kernels_.columns;
    kernels_.gated({values, gates, count, output.bias, gate_bias, output.y, output.y_stride});
  }

  // Its pixels are fetched where they lie together and the second cache has room for them.
  void expect_strip(std::int64_t strip, PanelProduct& product) const {
    const Tensor& x = operands_.x;
    const bool together = shape_.pointwise() && x.row_stride() == shape_.channels;
    if (strips_inside_ || !together || shape_.channels > piece_) return;
    const std::int64_t first = strip * kStripPixels;
    product.next_x = row_of(x, first, 0);
    product.next_x_bytes = std::min(kStripPixels, pixels_ - first) * shape_.channels *
                           static_cast<std::int64_t>(size_of(x.dtype()));
  }

  // Weights that begin at product.next. `coming`: wanted after this tap, if it is not the tap after
  // it. `output`: if the sums are whole then.
  void add_tap(PanelProduct& product, const std::byte* coming, const PanelOutput* output,
               float* widened) const {
    for (product.first = 0; product.first < shape_.channels; product.first += product.depth) {
      product.depth = std::min(piece_, shape_.channels - product.first);
      product.panel = product.next;
      if (narrow()) {
        kernels_.widen(product.next, held_, product.depth * kernels_.columns, widened);
        product.panel = widened;
      }
      product.next_bytes = held_bytes_of(product.depth);
      product.next = static_cast<const std::byte*>(product.next) + product.next_bytes;
      if (product.first + product.depth == shape_.channels) {
        if (coming != nullptr) product.next = coming;
        product.output = output;
      }
      kernels_.product(product);
      product.fresh = false;
    }
  }

  const Convolution& shape_;
  const PanelOperands& operands_;
  const std::byte* weights_;
  Held held_;
  const PanelKernels& kernels_;
  std::int64_t pixels_, taps_;
  bool whole_;  // the one pixel of the kernel sees a pixel of the picture everywhere
  std::int64_t tap_bytes_, piece_;
  std::int64_t strips_, panels_;
  bool strips_inside_, past_caches_;
  std::int64_t sum_floats_ = 0, widened_floats_ = 0;
  std::size_t thread_bytes_ = 0;
  std::byte* memory_ = nullptr;
};

}  // namespace

bool fills_panels(const Convolution& shape) {
  constexpr std::int64_t kLeast = 32;  // half a panel of the widest instruction set
  return std::min(shape.channels, shape.out_channels) >= kLeast;
}

bool fills_gated_panels(const Weight& weight, const PanelKernels& kernels) {
  return weight.shape[0] % (2 * kernels.columns) == 0;
}

namespace {

void run(const Convolution& shape, const PanelOperands& operands, const PanelWeight& weight,
         const PanelKernels& kernels, Scratch& scratch) {
  if (kernels.on_tiles) return run_on_tiles(shape, operands, weight, kernels, scratch);
  // By the size of a picture, so that it does not matter how many there are.
  if (kernels.split != nullptr && shape.out_height() * shape.out_width() >= kTileRows) {
    return run_split(shape, operands, weight, kernels, scratch);
  }
  Run(shape, operands, weight, kernels, scratch).all();
}

}  // namespace

void run_panels(const LinearOp& op, const PanelWeight& weight, const PanelKernels& kernels,
                Scratch& scratch) {
  if (op.y.shape().elements() == 0) return;
  run(convolution_of(op), {op.x, op.bias, op.residual, op.y, op.geglu}, weight, kernels, scratch);
}

void run_panels(const Conv2dOp& op, const PanelWeight& weight, const PanelKernels& kernels,
                Scratch& scratch) {
  run(convolution_of(op), {op.x, op.bias, op.residual, op.y}, weight, kernels, scratch);
}

}  // namespace diffuse::cpu
