#include "kernels/cpu/tile_panels.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/halves.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/tile_strips.hpp"

namespace diffuse::cpu {
namespace {

// Items that a thread gets, at least, so that all threads end together.
constexpr std::int64_t kItems = 4;
constexpr std::int64_t kElement = sizeof(Bf16);

std::int64_t whole_lines(std::int64_t bytes) { return blocks_of(bytes, 64) * 64; }

class TileRun {
 public:
  TileRun(const Convolution& shape, const PanelOperands& operands, const PanelWeight& weight,
          const PanelKernels& kernels, Scratch& scratch)
      : strips_(shape),
        operands_(operands),
        weights_(static_cast<const std::byte*>(weight.data.get())),
        kernels_(kernels),
        sum_sets_(operands.gated ? 2 : 1),
        panels_(blocks_of(shape.out_channels, kernels.columns) / sum_sets_),
        tap_bytes_(panel_values(kernels, shape.channels, DType::bf16) * kElement),
        taps_(shape.kernel_height * shape.kernel_width),
        past_caches_(goes_far(operands.y, shape, kernels)),
        threads_(max_threads()),
        held_(static_cast<std::size_t>(threads_), -1) {
    const std::int64_t most = strips_.most_rows();
    const auto set = most * static_cast<std::int64_t>(sizeof(ProductRow));
    copy_bytes_ = whole_lines(strips_.copy_values() * kElement);
    sum_bytes_ = most * kernels.columns * static_cast<std::int64_t>(sizeof(float));
    thread_bytes_ = whole_lines(copy_bytes_ + sum_sets_ * (sum_bytes_ + set) +
                                most * static_cast<std::int64_t>(sizeof(std::int32_t)));
    memory_ = scratch.reserve(static_cast<std::size_t>(threads_ * thread_bytes_));
  }

  void all() {
    const std::int64_t ranges = std::min(panels_, blocks_of(kItems * threads_, strips_.count));
    const std::int64_t items = strips_.count * ranges;
    parallel_for(items, [&](std::int64_t item, int thread) {
      const std::int64_t index = item / ranges, range = item % ranges;
      const TileStrip strip = strips_.at(index);
      const Memory memory = take(index, strip, thread);
      // Other threads take the items between.
      const std::int64_t coming = std::min(item + threads_, items - 1) / ranges;
      const std::int64_t begin = panels_ * range / ranges, end = panels_ * (range + 1) / ranges;
      for (std::int64_t panel = begin; panel < end; ++panel) {
        PanelProduct product = product_of(panel, strip, memory);
        if (coming != index) expect(coming, panel - begin, end - begin, product);
        one(panel, strip, memory, product);
      }
    });
  }

 private:
  // What a thread works with.
  struct Memory {
    std::byte* copy;
    float* sums;  // of all sets, as rows
    ProductRow* rows;
    std::int32_t* places;
  };

  // The thread's memory, with the strip's copy and rows in it.
  Memory take(std::int64_t index, const TileStrip& strip, int thread) {
    std::byte* copy = memory_ + thread * thread_bytes_;
    std::byte* sums = copy + copy_bytes_;
    std::byte* rows = sums + sum_sets_ * sum_bytes_;
    const auto row_bytes = strips_.most_rows() * static_cast<std::int64_t>(sizeof(ProductRow));
    const Memory memory{copy, reinterpret_cast<float*>(sums), reinterpret_cast<ProductRow*>(rows),
                        reinterpret_cast<std::int32_t*>(rows + sum_sets_ * row_bytes)};
    std::int64_t& held = held_[static_cast<std::size_t>(thread)];
    if (held == index) return memory;
    held = index;
    if (!strips_.flat) copy_strip(strip, copy);
    ProductRow* row = memory.rows;
    float* sum = memory.sums;
    for (std::int64_t set = 0; set < sum_sets_; ++set) {
      for (std::int64_t r = 0; r < strip.rows; ++r, sum += kernels_.columns) {
        *row++ = {strips_.flat ? row_of(operands_.x, strip.first + r, 0)
                               : copy + strips_.seen(strip, r) * kElement,
                  sum};
      }
    }
    for (std::int64_t r = 0; r < strip.rows && strips_.gaps(); ++r) {
      memory.places[r] = static_cast<std::int32_t>(strips_.place(strip, r));
    }
    return memory;
  }

  void copy_strip(const TileStrip& strip, std::byte* to) const {
    const Convolution& c = strips_.shape;
    const std::int64_t top = strip.line * c.stride - c.pad_top;
    for (std::int64_t i = 0; i < strip.pictures; ++i) {
      const std::int64_t picture = (strip.picture + i) * c.height;
      for (std::int64_t h = top; h < top + strips_.seen_lines(strip.lines); ++h) {
        if (h < 0 || h >= c.height) {
          std::memset(to, 0, static_cast<std::size_t>(strips_.line * kElement));
        } else {
          copy_line((picture + h) * c.width, to);
        }
        to += strips_.line * kElement;
      }
    }
  }

  // A line of x, which begins with pixel `first`, with zeros beside it.
  void copy_line(std::int64_t first, std::byte* to) const {
    const Convolution& c = strips_.shape;
    const std::int64_t count = strips_.line / c.channels;
    const std::int64_t left = std::min(c.pad_left, count);
    const std::int64_t inside = std::min(c.width, count - left);
    const auto bytes = [&](std::int64_t pixels) {
      return static_cast<std::size_t>(pixels * c.channels * kElement);
    };
    std::memset(to, 0, bytes(left));
    to += bytes(left);
    if (operands_.x.row_stride() == c.channels) {
      std::memcpy(to, row_of(operands_.x, first, 0), bytes(inside));
    } else {
      for (std::int64_t p = 0; p < inside; ++p) {
        std::memcpy(to + bytes(p), row_of(operands_.x, first + p, 0), bytes(1));
      }
    }
    std::memset(to + bytes(inside), 0, bytes(count - left - inside));
  }

  [[nodiscard]] PanelProduct product_of(std::int64_t panel, const TileStrip& strip,
                                        const Memory& memory) const {
    PanelProduct product{};
    product.rows = memory.rows;
    product.count = strip.rows;
    product.columns =
        std::min(kernels_.columns, strips_.shape.out_channels - panel * kernels_.columns);
    if (strips_.flat) {
      product.x_stride = operands_.x.row_stride() * kElement;
    } else {
      product.x_stride = strips_.even() ? strips_.pixel * kElement : 0;
    }
    return product;
  }

  // A panel's share of the strip that comes next, which lies together, is fetched meanwhile.
  void expect(std::int64_t strip, std::int64_t panel, std::int64_t panels,
              PanelProduct& product) const {
    if (!strips_.flat || operands_.x.row_stride() != strips_.shape.channels) return;
    const TileStrip next = strips_.at(strip);
    const std::int64_t begin = next.rows * panel / panels, end = next.rows * (panel + 1) / panels;
    product.next_x = row_of(operands_.x, next.first + begin, 0);
    product.next_x_bytes = (end - begin) * strips_.shape.channels * kElement;
  }

  // One panel's outputs for one strip; with gates: the panel's values, then those of its gates.
  void one(std::int64_t panel, const TileStrip& strip, const Memory& memory,
           PanelProduct& product) const {
    PanelOutput output = output_at(operands_, strips_.shape.activation, strip.first,
                                   panel * kernels_.columns, past_caches_);
    if (strips_.gaps()) output.places = memory.places;
    const std::int64_t coming = (panel + 1) % panels_;
    if (!operands_.gated) return multiply(product, panel, coming, &output);
    multiply(product, panel, panels_ + panel, nullptr);
    product.rows += strip.rows;
    multiply(product, panels_ + panel, coming, nullptr);
    const float* gate_bias =
        output.bias == nullptr ? nullptr : output.bias + panels_ * kernels_.columns;
    kernels_.gated({memory.sums, product.rows[0].sums, strip.rows, output.bias, gate_bias, output.y,
                    output.y_stride});
  }

  // The strip meets all of a panel: what a row of the kernel sees is one row of a matrix, whose
  // weights lie together if no channel is added to make a pair.
  void multiply(PanelProduct& product, std::int64_t panel, std::int64_t coming,
                const PanelOutput* output) const {
    const Convolution& c = strips_.shape;
    const std::int64_t at_once = c.channels % 2 == 0 ? c.kernel_width : 1;
    const std::byte* weights = weights_ + panel * taps_ * tap_bytes_;
    product.depth = at_once * c.channels;
    product.fresh = true;
    product.next_bytes = at_once * tap_bytes_;
    for (std::int64_t tap = 0; tap < taps_; tap += at_once) {
      const bool last = tap + at_once == taps_;
      product.first = tap / c.kernel_width * strips_.line + tap % c.kernel_width * c.channels;
      product.panel = weights + tap * tap_bytes_;
      product.next =
          last ? weights_ + coming * taps_ * tap_bytes_ : weights + (tap + at_once) * tap_bytes_;
      product.output = last ? output : nullptr;
      kernels_.product(product);
      product.fresh = false;
    }
  }

  TileStrips strips_;
  const PanelOperands& operands_;
  const std::byte* weights_;
  const PanelKernels& kernels_;
  std::int64_t sum_sets_, panels_;
  std::int64_t tap_bytes_, taps_;
  bool past_caches_;
  int threads_;
  std::vector<std::int64_t> held_;  // each thread's strip
  std::int64_t copy_bytes_ = 0, sum_bytes_ = 0, thread_bytes_ = 0;
  std::byte* memory_ = nullptr;
};

}  // namespace

void run_on_tiles(const Convolution& shape, const PanelOperands& operands,
                  const PanelWeight& weight, const PanelKernels& kernels, Scratch& scratch) {
  TileRun(shape, operands, weight, kernels, scratch).all();
}

}  // namespace diffuse::cpu
