#pragma once

// Rows of bf16 meet weights in panels on a tile unit (isa/tiles.hpp), 32 rows and 32 columns at a
// time. Every product with a row is one of whole tiles, with zeros where there is no row and past
// the end of the depth, so that a row gets the same bytes whatever rows it comes with. Included
// once per instruction set that has such a unit.
//
// A step of 32x32x32 takes 64 cycles. Its weights lie in the first cache, whole lines one after
// another; its rows come from the second cache, 32 lines at more than a cycle each, and go past the
// first. Fetching them ahead costs more than it brings (measured on Granite Rapids).

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

constexpr std::int64_t kPanelStride = 2 * kTilePanel * static_cast<std::int64_t>(sizeof(Bf16));

/// Depth that all rows meet before they meet more: that much of a panel (32 KiB) stays in the first
/// cache, 48 KiB where there are tiles.
constexpr std::int64_t kMostDepth = 512;

/// Copies of what a tile cannot read or write where it lies.
struct TileMemory {
  alignas(64) float sums[kTileBlockRows][kTilePanel];
  alignas(64) Bf16 panel[kTileDepth / 2][kTilePanel][2];
  alignas(64) Bf16 x[kTileBlockRows][kMostDepth];
};

/// Some depth of a panel: values [begin, begin + depth) of those that the product has.
struct TileDepth {
  std::int64_t begin, depth;
  [[nodiscard]] std::int64_t steps() const { return (depth + kTileDepth - 1) / kTileDepth; }
  [[nodiscard]] bool whole() const { return depth % kTileDepth == 0; }
};

/// What 16 rows of a block are to the tile unit.
struct TileOperands {
  const Bf16* x;
  std::int64_t stride;  ///< bytes
};

/// Rows one after another, zeros past their end and where there is no row.
inline void gather(const PanelProduct& product, std::int64_t begin, std::int64_t count,
                   const TileDepth& part, Bf16 (*to)[kMostDepth]) {
  const auto bytes = static_cast<std::size_t>(part.depth) * sizeof(Bf16);
  const auto padded = static_cast<std::size_t>(part.steps() * kTileDepth) * sizeof(Bf16);
  for (std::int64_t r = 0; r < kTileRows; ++r) {
    std::size_t filled = 0;
    if (r < count) {
      const auto* x = static_cast<const Bf16*>(product.rows[begin + r].x);
      __builtin_memcpy(to[r], x + product.first + part.begin, bytes);
      filled = bytes;
    }
    __builtin_memset(reinterpret_cast<std::byte*>(to[r]) + filled, 0, padded - filled);
  }
}

/// The last step of a panel whose depth does not fill it, with zeros.
inline const Bf16* last_step(const Bf16* panel, std::int64_t depth, TileMemory& memory) {
  const std::int64_t pairs = (depth + 1) / 2;
  auto* to = &memory.panel[0][0][0];
  __builtin_memcpy(to, panel, static_cast<std::size_t>(pairs * kPanelStride));
  __builtin_memset(to + pairs * 2 * kTilePanel, 0,
                   static_cast<std::size_t>((kTileDepth / 2 - pairs) * kPanelStride));
  return to;
}

/// What comes next is fetched into the second cache meanwhile, some lines a step: weights, then
/// rows. What the outputs of a block of rows touch is fetched while it is multiplied.
class TileAhead {
 public:
  explicit TileAhead(const PanelProduct& product)
      : outputs_(product.output, product.columns),
        next_(static_cast<const std::byte*>(product.next)),
        end_(next_ + product.next_bytes),
        then_(static_cast<const std::byte*>(product.next_x)),
        then_end_(then_ + product.next_x_bytes) {
    const std::int64_t steps = (product.count + kTileBlockRows - 1) / kTileBlockRows *
                               ((product.depth + kTileDepth - 1) / kTileDepth);
    lines_ = ((end_ - next_ + product.next_x_bytes) / 64 + steps - 1) / steps;
  }
  /// Rows [begin, begin + count) are multiplied, in some steps; `done`: then they have outputs.
  void block(std::int64_t begin, std::int64_t count, std::int64_t steps, bool done) {
    if (next_ >= end_) {
      next_ = then_;
      end_ = then_end_;
      then_ = then_end_;
    }
    outputs_.block(begin, done ? count : 0, steps);
  }
  [[gnu::always_inline]] void step() {
    if (next_ < end_) {
      for (std::int64_t i = 0; i < lines_; ++i, next_ += 64) __builtin_prefetch(next_, 0, 2);
    }
    outputs_.step();
  }

 private:
  OutputAhead outputs_;
  const std::byte *next_, *end_, *then_, *then_end_;
  std::int64_t lines_;  ///< of a step
};

/// One step: 16 or 32 rows meet 32 values of two tiles of columns.
template <class Tiles, int M>
[[gnu::always_inline]] inline void tile_step(const Bf16* x0, std::int64_t stride0, const Bf16* x1,
                                             std::int64_t stride1, const Bf16* weights) {
  Tiles::template load<6>(weights, kPanelStride);
  Tiles::template load_once<4>(x0, stride0);
  Tiles::template multiply_add<0, 4, 6>();
  Tiles::template load<7>(weights + 2 * kTileColumns, kPanelStride);
  Tiles::template multiply_add<1, 4, 7>();
  if constexpr (M == 2) {
    Tiles::template load_once<5>(x1, stride1);
    Tiles::template multiply_add<2, 5, 6>();
    Tiles::template multiply_add<3, 5, 7>();
  }
}

/// sums (+)= x W for M times 16 rows. `panel`: where the part's begins; `last`: its last step, if
/// that is not whole.
template <class Tiles, int M>
void tile_products(const TileOperands (&at)[2], const TileSums& sums, const TileDepth& part,
                   const Bf16* panel, const Bf16* last, TileAhead& ahead) {
  take_sums<Tiles, M>(sums);
  const Bf16 *x0 = at[0].x, *x1 = at[1].x;
  const std::int64_t stride0 = at[0].stride, stride1 = at[1].stride;
  for (std::int64_t s = part.depth / kTileDepth; s > 0; --s, panel += kTileDepth * kTilePanel) {
    tile_step<Tiles, M>(x0, stride0, x1, stride1, panel);
    x0 += kTileDepth;
    if constexpr (M == 2) x1 += kTileDepth;
    ahead.step();
  }
  if (!part.whole()) tile_step<Tiles, M>(x0, stride0, x1, stride1, last);
  leave_sums<Tiles, M>(sums);
}

inline void put_block(const PanelProduct& product, std::int64_t begin, std::int64_t count,
                      const float (*sums)[kTilePanel]) {
  with_function(product.output->function, [&]<class Fn>(Fn) {
    const PanelOutput& output = *product.output;
    if (output.f32) return put_tile_rows<float, Fn>(output, product.columns, begin, count, sums);
    put_tile_rows<Bf16, Fn>(output, product.columns, begin, count, sums);
  });
}

/// Sums of rows to and from where their tiles are whole.
inline void copy_sums(const float* from, std::int64_t from_stride, float* to,
                      std::int64_t to_stride, std::int64_t count) {
  for (std::int64_t r = 0; r < count; ++r) {
    __builtin_memcpy(to + r * to_stride, from + r * from_stride, kTilePanel * sizeof(float));
  }
}

/// The 32 rows, or what is left of them, from `begin` on meet a part of the depth.
template <class Tiles>
void tile_block(const PanelProduct& product, std::int64_t begin, const TileDepth& part,
                const Bf16* last, TileMemory& memory, TileAhead& ahead) {
  const std::int64_t count = smaller(kTileBlockRows, product.count - begin);
  TileOperands at[2]{};
  for (std::int64_t m = 0; m * kTileRows < count; ++m) {
    const std::int64_t first = begin + m * kTileRows, left = count - m * kTileRows;
    if (product.x_stride != 0 && part.whole() && left >= kTileRows) {
      const auto* x = static_cast<const Bf16*>(product.rows[first].x);
      at[m] = {x + product.first + part.begin, product.x_stride};
    } else {
      Bf16(*to)[kMostDepth] = memory.x + m * kTileRows;
      gather(product, first, smaller(left, kTileRows), part, to);
      at[m] = {to[0], static_cast<std::int64_t>(sizeof(to[0]))};
    }
  }
  const bool done = product.output != nullptr && part.begin + part.depth == product.depth;
  const bool fresh = product.fresh && part.begin == 0;
  float* rows = product.rows[begin].sums;
  const std::int64_t stride = product.count > 1 ? product.rows[1].sums - product.rows[0].sums : 0;
  const auto own = static_cast<std::int64_t>(sizeof(memory.sums[0]));
  TileSums sums{rows, stride * 4, rows, stride * 4};
  if (count < kTileBlockRows) {
    __builtin_memset(memory.sums, 0, sizeof(memory.sums));
    if (!fresh) copy_sums(rows, stride, memory.sums[0], kTilePanel, count);
    sums = {memory.sums[0], own, memory.sums[0], own};
  }
  if (fresh) sums.before = nullptr;
  if (done) {
    sums.after = memory.sums[0];
    sums.after_stride = own;
  }
  const Bf16* panel = static_cast<const Bf16*>(product.panel) + part.begin * kTilePanel;
  ahead.block(begin, count, part.steps(), done);
  if (count > kTileRows) {
    tile_products<Tiles, 2>(at, sums, part, panel, last, ahead);
  } else {
    tile_products<Tiles, 1>(at, sums, part, panel, last, ahead);
  }
  if (done) return put_block(product, begin, count, memory.sums);
  if (count < kTileBlockRows) copy_sums(memory.sums[0], kTilePanel, rows, stride, count);
}

template <class Tiles>
void tile_panel_product(const PanelProduct& product) {
  TileMemory memory;
  const auto* panel = static_cast<const Bf16*>(product.panel);
  const std::int64_t tail = product.depth % kTileDepth;
  const Bf16* last = nullptr;
  if (tail != 0) last = last_step(panel + (product.depth - tail) * kTilePanel, tail, memory);
  // Parts of about the same depth.
  const std::int64_t parts = (product.depth + kMostDepth - 1) / kMostDepth;
  const std::int64_t most = TileDepth{0, (product.depth + parts - 1) / parts}.steps() * kTileDepth;
  TileAhead ahead(product);

  Tiles::begin();
  for (TileDepth part{0, 0}; part.begin < product.depth; part.begin += part.depth) {
    part.depth = smaller(most, product.depth - part.begin);
    for (std::int64_t begin = 0; begin < product.count; begin += kTileBlockRows) {
      tile_block<Tiles>(product, begin, part, last, memory, ahead);
    }
  }
  Tiles::end();
  if (product.output != nullptr && product.output->past_caches) __builtin_ia32_sfence();
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
