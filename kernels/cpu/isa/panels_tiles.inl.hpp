#pragma once

// Rows of bf16 meet weights in panels on a tile unit (isa/tiles.hpp), 32 rows and 32 columns at a
// time. Every product with a row is one of whole tiles, with zeros where there is no row and past
// the end of the depth, so that a row gets the same bytes whatever rows it comes with. Included
// once per instruction set that has such a unit.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

constexpr std::int64_t kTileRows = 16;
constexpr std::int64_t kTileDepth = 32;
constexpr std::int64_t kTileColumns = 16;
constexpr std::int64_t kBlockRows = 2 * kTileRows;
constexpr std::int64_t kHalfPanel = 2 * kTileColumns;
constexpr std::int64_t kSumStride = kPanel * static_cast<std::int64_t>(sizeof(float));
constexpr std::int64_t kPanelStride = 2 * kPanel * static_cast<std::int64_t>(sizeof(Bf16));

/// Depth that all rows meet before they meet more: that much of a panel (24 KiB) stays in the first
/// cache (48 KiB where there are tiles) together with a block's rows and sums (20 KiB).
constexpr std::int64_t kMostDepth = 192;

/// Copies of what a tile cannot read or write where it lies.
struct TileMemory {
  alignas(64) Bf16 x[2][kTileRows][kMostDepth];
  alignas(64) Bf16 panel[kTileRows][kPanel][2];
  alignas(64) float sums[kTileRows][kPanel];
};

/// Rows [begin, end) of a product, whose sums lie within `span` <= kBlockRows rows of sums.
struct TileBlock {
  std::int64_t begin, end, span;
};

/// A depth of a panel: values [begin, begin + depth) of those that the product has.
struct TileDepth {
  std::int64_t begin, depth;
  [[nodiscard]] std::int64_t steps() const { return (depth + kTileDepth - 1) / kTileDepth; }
  [[nodiscard]] bool whole() const { return depth % kTileDepth == 0; }
};

/// What 16 rows of a block are to the tile unit.
struct TileOperands {
  const Bf16* x;
  std::int64_t x_stride;  ///< bytes
  float* sums;            ///< kSumStride apart
};

inline TileBlock tile_block(const PanelProduct& product, std::int64_t begin) {
  const ProductRow* rows = product.rows;
  TileBlock block{begin, begin + 1, 1};
  for (; block.end < product.count; ++block.end) {
    const std::int64_t away = rows[block.end].sums - rows[begin].sums;
    if (away < block.span * kPanel || away >= kBlockRows * kPanel || away % kPanel != 0) break;
    block.span = away / kPanel + 1;
  }
  return block;
}

/// 16 rows that lie evenly, or null.
inline const Bf16* evenly(const PanelProduct& product, const ProductRow* begin,
                          const ProductRow* end, std::int64_t& stride) {
  if (end - begin != kTileRows) return nullptr;
  const auto* first = static_cast<const std::byte*>(begin->x);
  stride = static_cast<const std::byte*>(begin[1].x) - first;
  for (std::int64_t r = 2; r < kTileRows; ++r) {
    if (static_cast<const std::byte*>(begin[r].x) - first != r * stride) return nullptr;
  }
  return static_cast<const Bf16*>(begin->x) + product.first;
}

/// Rows [begin, end) to where their sums lie among those of `sums`; zeros around them.
inline void gather(const PanelProduct& product, const ProductRow* begin, const ProductRow* end,
                   const float* sums, const TileDepth& part, Bf16 (&to)[kTileRows][kMostDepth]) {
  const std::int64_t padded = part.steps() * kTileDepth;
  for (std::int64_t r = 0; r < kTileRows; ++r, sums += kPanel) {
    std::int64_t d = 0;
    if (begin != end && begin->sums == sums) {
      const Bf16* from = static_cast<const Bf16*>(begin->x) + product.first + part.begin;
      __builtin_memcpy(to[r], from, static_cast<std::size_t>(part.depth) * sizeof(Bf16));
      d = part.depth;
      ++begin;
    }
    for (; d < padded; ++d) to[r][d] = Bf16{};
  }
}

/// The last step of a panel whose depth does not fill it, with zeros.
inline const Bf16* last_step(const Bf16* panel, std::int64_t depth, TileMemory& memory) {
  const std::int64_t pairs = (depth + 1) / 2;
  auto* to = &memory.panel[0][0][0];
  __builtin_memcpy(to, panel, static_cast<std::size_t>(pairs * kPanelStride));
  for (std::int64_t i = pairs * 2 * kPanel; i < kTileDepth * kPanel; ++i) to[i] = Bf16{};
  return to;
}

/// What comes next is fetched meanwhile, some lines a step: the next block's sums and rows into the
/// first cache, the weights that come next into the second.
struct TileAhead {
  const std::byte* weights;
  const std::byte* weights_end;
  const ProductRow* rows;  // of the next block
  std::int64_t count;

  void fetch(const PanelProduct& product, const TileDepth& part, std::int64_t step, bool first) {
    constexpr std::int64_t kLines = 4;
    for (std::int64_t i = 0; i < kLines && weights < weights_end; ++i, weights += 64) {
      __builtin_prefetch(weights, 0, 2);
    }
    if (!first) {
      for (std::int64_t r = 0; r < count; ++r) {
        __builtin_prefetch(static_cast<const Bf16*>(rows[r].x) + product.first + part.begin +
                           step * kTileDepth);
      }
      return;
    }
    for (std::int64_t r = step; r < count; r += part.steps()) {
      for (std::int64_t c = 0; c < kPanel; c += 16) __builtin_prefetch(rows[r].sums + c, 1);
    }
  }
};

/// sums (+)= x W for M times 16 rows and half a panel of columns. `panel`: where the part's begins;
/// `last`: its last step, if that is not whole.
template <class Tiles, int M>
void tile_products(const PanelProduct& product, const TileOperands (&at)[2], const TileDepth& part,
                   const Bf16* panel, const Bf16* last, std::int64_t column, TileAhead& ahead) {
  if (product.fresh && part.begin == 0) {
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    if constexpr (M == 2) {
      Tiles::template zero<2>();
      Tiles::template zero<3>();
    }
  } else {
    Tiles::template load<0>(at[0].sums + column, kSumStride);
    Tiles::template load<1>(at[0].sums + column + kTileColumns, kSumStride);
    if constexpr (M == 2) {
      Tiles::template load<2>(at[1].sums + column, kSumStride);
      Tiles::template load<3>(at[1].sums + column + kTileColumns, kSumStride);
    }
  }
  for (std::int64_t s = 0; s < part.steps(); ++s, panel += kTileDepth * kPanel) {
    const bool whole = s + 1 < part.steps() || part.whole();
    const Bf16* weights = (whole ? panel : last) + 2 * column;
    Tiles::template load<6>(weights, kPanelStride);
    Tiles::template load<4>(at[0].x + s * kTileDepth, at[0].x_stride);
    Tiles::template multiply_add<0, 4, 6>();
    Tiles::template load<7>(weights + 2 * kTileColumns, kPanelStride);
    Tiles::template multiply_add<1, 4, 7>();
    if constexpr (M == 2) {
      Tiles::template load<5>(at[1].x + s * kTileDepth, at[1].x_stride);
      Tiles::template multiply_add<2, 5, 6>();
      Tiles::template multiply_add<3, 5, 7>();
    }
    ahead.fetch(product, part, s, column == 0);
  }
  Tiles::template store<0>(at[0].sums + column, kSumStride);
  Tiles::template store<1>(at[0].sums + column + kTileColumns, kSumStride);
  if constexpr (M == 2) {
    Tiles::template store<2>(at[1].sums + column, kSumStride);
    Tiles::template store<3>(at[1].sums + column + kTileColumns, kSumStride);
  }
}

/// A block's rows meet a part of the depth.
template <class Tiles>
void tile_part(const PanelProduct& product, const TileBlock& block, const TileDepth& part,
               const Bf16* last, TileMemory& memory, TileAhead& ahead) {
  float* sums = product.rows[block.begin].sums;
  TileOperands at[2];
  float* partial = nullptr;  // sums of fewer than 16 rows
  std::size_t partial_bytes = 0;
  const ProductRow* row = product.rows + block.begin;
  const ProductRow* end = product.rows + block.end;
  for (std::int64_t m = 0, left = block.span; left > 0; ++m, left -= kTileRows) {
    at[m].sums = sums + m * kTileRows * kPanel;
    const ProductRow* past = row;
    while (past < end && past->sums < at[m].sums + kTileRows * kPanel) ++past;
    const Bf16* x = part.whole() ? evenly(product, row, past, at[m].x_stride) : nullptr;
    if (x != nullptr) {
      at[m].x = x + part.begin;
    } else {
      gather(product, row, past, at[m].sums, part, memory.x[m]);
      at[m].x = memory.x[m][0];
      at[m].x_stride = static_cast<std::int64_t>(sizeof(memory.x[m][0]));
    }
    row = past;
    if (left >= kTileRows) continue;
    partial = at[m].sums;
    partial_bytes = static_cast<std::size_t>(left * kSumStride);
    __builtin_memcpy(memory.sums, partial, partial_bytes);
    at[m].sums = memory.sums[0];
  }
  const Bf16* panel = static_cast<const Bf16*>(product.panel) + part.begin * kPanel;
  for (std::int64_t column = 0; column < product.columns; column += kHalfPanel) {
    if (block.span > kTileRows) {
      tile_products<Tiles, 2>(product, at, part, panel, last, column, ahead);
    } else {
      tile_products<Tiles, 1>(product, at, part, panel, last, column, ahead);
    }
  }
  if (partial == nullptr) return;
  __builtin_memcpy(partial, memory.sums, partial_bytes);
}

template <class T>
void put_block(const PanelProduct& product, const TileBlock& block) {
  with_function(product.output->function, [&]<class Fn>(Fn) {
    for (std::int64_t r = block.begin; r < block.end; ++r) {
      put_row<T, Fn>(*product.output, product.columns, product.rows[r].sums, r);
    }
  });
}

inline void put(const PanelProduct& product, const TileBlock& block) {
  if (product.output->f32) return put_block<float>(product, block);
  put_block<Bf16>(product, block);
}

/// The sums are whole. Some rows have met zeros on the way, being between others, which made a sum
/// of -0 to 0: so do all.
inline void put_whole(const PanelProduct& product) {
  for (std::int64_t r = 0; r < product.count; ++r) {
    float* sums = product.rows[r].sums;
    for (int v = 0; v < kPanelVecs; ++v)
      store(sums + v * kLanes, add(load(sums + v * kLanes), zero()));
  }
  put(product, {0, product.count, 0});
}

template <class Tiles>
void tile_panel_product(const PanelProduct& product) {
  if (product.depth == 0) return put_whole(product);
  TileMemory memory;
  __builtin_memset(memory.sums, 0, sizeof(memory.sums));
  const auto* panel = static_cast<const Bf16*>(product.panel);
  const std::int64_t tail = product.depth % kTileDepth;
  const Bf16* last = nullptr;
  if (tail != 0) last = last_step(panel + (product.depth - tail) * kPanel, tail, memory);
  TileAhead ahead{};
  ahead.weights = static_cast<const std::byte*>(product.next);
  ahead.weights_end = ahead.weights + (product.depth + 1) / 2 * kPanelStride;
  // Parts of about the same depth.
  const std::int64_t parts = (product.depth + kMostDepth - 1) / kMostDepth;
  const std::int64_t most = TileDepth{0, (product.depth + parts - 1) / parts}.steps() * kTileDepth;

  Tiles::begin();
  for (TileDepth part{0, 0}; part.begin < product.depth; part.begin += part.depth) {
    part.depth = smaller(most, product.depth - part.begin);
    const bool done = part.begin + part.depth == product.depth;
    for (TileBlock block{}; block.end < product.count;) {
      block = tile_block(product, block.end);
      ahead.rows = product.rows + block.end;
      ahead.count = smaller(kBlockRows, product.count - block.end);
      tile_part<Tiles>(product, block, part, last, memory, ahead);
      if (done && product.output != nullptr) put(product, block);
    }
  }
  Tiles::end();
}

/// The kernels of avx512_bf16, but for these products.
template <class Tiles>
const KernelTable* tile_table() {
  static const TypedKernels kBf16 = [] {
    TypedKernels kernels = *avx512_bf16_kernels()->bf16;
    kernels.panels.product = tile_panel_product<Tiles>;
    kernels.panels.on_tiles = true;
    kernels.attention = tile_attention_kernels<Tiles>();
    return kernels;
  }();
  static const KernelTable kTable{avx512_bf16_kernels()->f32, &kBf16};
  return &kTable;
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
