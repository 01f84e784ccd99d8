#include "kernels/cpu/split_panels.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/cpu/parallel.hpp"

namespace diffuse::cpu {
namespace {

// Pixels of a strip, whose parts stay in the second cache (2 MiB where there are tiles) while some
// panels pass by.
constexpr std::int64_t kStripPixels = 256;
// Channels that are met in one go. Where there are more, pieces of these are met whose weights stay
// in the first cache, and the sums of as many panels in the second.
constexpr std::int64_t kOnePiece = 640, kPieceDepth = 320;
constexpr std::int64_t kMostPanels = 20;
// Of the second cache, for all weights of a layer that has few.
constexpr std::int64_t kKeptBytes = std::int64_t{448} << 10;
// Items that a thread gets, at least, so that all threads end together.
constexpr std::int64_t kItems = 4;

std::int64_t whole(std::int64_t count, std::int64_t size) { return blocks_of(count, size) * size; }

std::int64_t depth_of(std::int64_t channels) {
  const std::int64_t pieces = channels <= kOnePiece ? 1 : blocks_of(channels, kPieceDepth);
  return whole(blocks_of(channels, pieces), kTileDepth);
}

// Channels of a kernel's pixel that are met at a time.
struct Piece {
  std::int64_t index, tap, first, depth;
};

class SplitRun {
 public:
  SplitRun(const Convolution& shape, const PanelOperands& operands, const PanelWeight& weight,
           const PanelKernels& kernels, Scratch& scratch)
      : shape_(shape),
        operands_(operands),
        weights_(static_cast<const std::byte*>(weight.data.get())),
        held_(weight.held),
        each_(held_bytes(weight.held, DType::f32)),
        prepared_columns_(kernels.columns),
        kernels_(*kernels.split),
        pixels_(shape.batch * shape.out_height() * shape.out_width()),
        taps_(shape.kernel_height * shape.kernel_width),
        depth_(depth_of(shape.channels)),
        pieces_(taps_ * blocks_of(shape.channels, depth_)),
        strips_(blocks_of(pixels_, kStripPixels)),
        sum_sets_(operands.gated ? 2 : 1),
        panels_(blocks_of(shape.out_channels, kernels_.columns) / sum_sets_),
        group_(pieces_ == 1 ? 1 : kMostPanels / sum_sets_),
        past_caches_(goes_far(operands.y, shape, kernels)),
        threads_(max_threads()),
        held_pieces_(static_cast<std::size_t>(threads_), -1) {
    strip_bytes_ = kStripPixels * depth_ * kSplitBytes;
    panel_bytes_ = depth_ * kernels_.columns * kSplitBytes;
    const std::int64_t all_panels = pieces_ * panels_ * sum_sets_;
    keeps_ = all_panels * panel_bytes_ <= kKeptBytes;
    weight_bytes_ = (keeps_ ? all_panels : 1) * panel_bytes_;
    if (keeps_) kept_.resize(static_cast<std::size_t>(threads_ * all_panels));
    sum_floats_ = kStripPixels * kernels_.columns;
    if (pieces_ > 1 || operands.gated) {
      sum_bytes_ = group_ * sum_sets_ * sum_floats_ * static_cast<std::int64_t>(sizeof(float));
    }
    thread_bytes_ = strip_bytes_ + weight_bytes_ + sum_bytes_ +
                    kStripPixels * static_cast<std::int64_t>(sizeof(void*));
    memory_ = scratch.reserve(static_cast<std::size_t>(threads_ * thread_bytes_));
  }

  void all() {
    const std::int64_t groups = blocks_of(panels_, group_);
    const std::int64_t ranges = std::min(groups, blocks_of(kItems * threads_, strips_));
    const std::int64_t items = strips_ * ranges;
    parallel_for(items, [&](std::int64_t item, int thread) {
      const std::int64_t strip = item / ranges, range = item % ranges;
      // Other threads take the items between.
      const std::int64_t coming = std::min(item + threads_, items - 1) / ranges;
      const std::int64_t begin = groups * range / ranges, end = groups * (range + 1) / ranges;
      for (std::int64_t group = begin; group < end; ++group) {
        one({strip, panels_ * group / groups, panels_ * (group + 1) / groups,
             group + 1 == end ? coming : strip},
            memory_of(thread), held_pieces_[static_cast<std::size_t>(thread)]);
      }
    });
  }

 private:
  // A strip and some panels; the strip that the thread takes next.
  struct Item {
    std::int64_t strip, begin, end, coming;
  };
  // What a thread works with.
  struct Memory {
    int thread;
    std::byte *strip, *weights;
    float* sums;
    const void** rows;
  };
  [[nodiscard]] Memory memory_of(int thread) const {
    std::byte* strip = memory_ + thread * thread_bytes_;
    std::byte* weights = strip + strip_bytes_;
    std::byte* sums = weights + weight_bytes_;
    return {thread, strip, weights, reinterpret_cast<float*>(sums),
            reinterpret_cast<const void**>(sums + sum_bytes_)};
  }

  [[nodiscard]] Piece piece_at(std::int64_t index) const {
    const std::int64_t a_tap = pieces_ / taps_;
    const std::int64_t first = index % a_tap * depth_;
    return {index, index / a_tap, first, std::min(depth_, shape_.channels - first)};
  }

  // One strip's outputs of some panels. `held`: the piece that the thread has split last.
  void one(const Item& item, const Memory& memory, std::int64_t& held) {
    const std::int64_t first = item.strip * kStripPixels;
    SplitProduct product{};
    product.x = memory.strip;
    product.count = std::min(kStripPixels, pixels_ - first);
    product.held = held_;
    for (std::int64_t i = 0; i < pieces_; ++i) {
      const Piece piece = piece_at(i);
      const bool last = i + 1 == pieces_;
      if (held != item.strip * pieces_ + i) split_strip(first, product.count, piece, memory);
      held = item.strip * pieces_ + i;
      product.depth = piece.depth;
      product.fresh = i == 0;
      for (std::int64_t panel = item.begin; panel < item.end; ++panel) {
        expect(last ? item.coming * pieces_ : held + 1, held, panel - item.begin,
               item.end - item.begin, product);
        float* sums = memory.sums + (panel - item.begin) * sum_sets_ * sum_floats_;
        PanelOutput output =
            output_at(operands_, shape_.activation, first, panel * kernels_.columns, past_caches_);
        product.sums = pieces_ == 1 && !operands_.gated ? nullptr : sums;
        product.output = last && !operands_.gated ? &output : nullptr;
        meet(panel, piece, memory, product);
        if (!operands_.gated) continue;
        product.next = nullptr;
        product.sums = sums + sum_floats_;
        meet(panels_ + panel, piece, memory, product);
        if (last) put_gated(output, sums, product.count);
      }
    }
  }

  // A panel's share of the piece that is split next, counted over all strips, is fetched meanwhile.
  void expect(std::int64_t coming, std::int64_t held, std::int64_t panel, std::int64_t panels,
              SplitProduct& product) const {
    product.next = nullptr;
    if (coming == held || !shape_.pointwise()) return;
    const std::int64_t first = coming / pieces_ * kStripPixels;
    const std::int64_t count = std::min(kStripPixels, pixels_ - first);
    const std::int64_t begin = count * panel / panels, end = count * (panel + 1) / panels;
    const Piece piece = piece_at(coming % pieces_);
    product.next = row_of(operands_.x, first + begin, piece.first);
    product.next_rows = end - begin;
    product.next_row_bytes = piece.depth * static_cast<std::int64_t>(sizeof(float));
    product.next_stride = operands_.x.row_stride() * static_cast<std::int64_t>(sizeof(float));
  }

  void put_gated(const PanelOutput& output, const float* sums, std::int64_t count) const {
    const float* gate_bias =
        output.bias == nullptr ? nullptr : output.bias + panels_ * kernels_.columns;
    kernels_.gated(
        {sums, sums + sum_floats_, count, output.bias, gate_bias, output.y, output.y_stride});
  }

  void split_strip(std::int64_t first, std::int64_t count, const Piece& piece,
                   const Memory& memory) const {
    for (std::int64_t p = 0; p < count; ++p) {
      const std::int64_t from = seen_pixel(shape_, first + p, piece.tap);
      memory.rows[p] = from < 0 ? nullptr : row_of(operands_.x, from, 0);
    }
    kernels_.rows(memory.rows, count, piece.first, piece.depth, memory.strip);
  }

  // The strip meets a panel's weights of a piece.
  void meet(std::int64_t panel, const Piece& piece, const Memory& memory, SplitProduct& product) {
    product.weights = weights_of(panel, piece, memory);
    product.columns = std::min(kernels_.columns, shape_.out_channels - panel * kernels_.columns);
    kernels_.product(product);
  }

  // A panel's weights of a piece, split; where all have room, once by each thread.
  const std::byte* weights_of(std::int64_t panel, const Piece& piece, const Memory& memory) {
    const std::int64_t column = panel * kernels_.columns;
    const std::int64_t prepared =
        (column / prepared_columns_ * taps_ + piece.tap) * shape_.channels + piece.first;
    const std::int64_t at = prepared * prepared_columns_ + column % prepared_columns_;
    std::byte* to = memory.weights;
    if (keeps_) {
      const std::int64_t index = piece.index * panels_ * sum_sets_ + panel;
      const std::int64_t of_thread = pieces_ * panels_ * sum_sets_;
      to += index * panel_bytes_;
      std::uint8_t& kept = kept_[static_cast<std::size_t>(memory.thread * of_thread + index)];
      if (kept != 0) return to;
      kept = 1;
    }
    kernels_.weights(weights_ + at * each_, prepared_columns_, held_, piece.depth, to);
    return to;
  }

  const Convolution& shape_;
  const PanelOperands& operands_;
  const std::byte* weights_;
  Held held_;
  std::int64_t each_;              // bytes of a weight
  std::int64_t prepared_columns_;  // of the panels in memory
  const SplitKernels& kernels_;
  std::int64_t pixels_, taps_;
  std::int64_t depth_, pieces_;
  std::int64_t strips_;
  std::int64_t sum_sets_, panels_;
  std::int64_t group_;  // panels that meet a piece of a strip before the next
  bool past_caches_;
  int threads_;
  std::vector<std::int64_t> held_pieces_;  // each thread's, counted over all strips
  bool keeps_ = false;                     // all weights that it has split
  std::vector<std::uint8_t> kept_;         // has each thread?
  std::int64_t strip_bytes_ = 0, panel_bytes_ = 0, weight_bytes_ = 0, sum_floats_ = 0,
               sum_bytes_ = 0, thread_bytes_ = 0;
  std::byte* memory_ = nullptr;
};

}  // namespace

void run_split(const Convolution& shape, const PanelOperands& operands, const PanelWeight& weight,
               const PanelKernels& kernels, Scratch& scratch) {
  SplitRun(shape, operands, weight, kernels, scratch).all();
}

}  // namespace diffuse::cpu
