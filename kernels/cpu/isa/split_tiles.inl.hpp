#pragma once

// Products of f32 on a tile unit, by numbers that are sums of bf16 ones (split_numbers.inl.hpp), 32
// rows and 32 columns at a time. Every product with a row is one of whole tiles, with zeros past
// the end of the depth, so that a row gets the same bytes whatever rows it comes with. Included
// once per instruction set that has a tile unit.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

inline Vec load_some(const float* p, std::int64_t n) {
  if (n <= 0) return zero();
  return n < kLanes ? load_n(p, static_cast<int>(n)) : load(p);
}

/// A tile of each part of some rows of x: values from `first` on, of which `left` are met.
inline void split_tile(const void* const* x, std::int64_t rows, std::int64_t first,
                       std::int64_t left, Bf16* to) {
  const __m512i zero = _mm512_setzero_si512();
  for (std::int64_t r = 0; r < kTileRows; ++r, to += kTileDepth) {
    __m512i lines[kSplitParts] = {zero, zero, zero};
    if (r < rows && x[r] != nullptr) {
      const float* values = static_cast<const float*>(x[r]) + first;
      split_line(load_some(values, left), load_some(values + kLanes, left - kLanes), lines);
    }
    DIFFUSE_UNROLL
    for (int p = 0; p < kSplitParts; ++p) _mm512_store_si512(to + p * kTileValues, lines[p]);
  }
}

/// Rows as SplitKernels::rows says.
inline void split_rows(const void* const* x, std::int64_t count, std::int64_t first,
                       std::int64_t depth, void* to) {
  auto* tile = static_cast<Bf16*>(to);
  for (std::int64_t r = 0; r < count; r += kTileRows) {
    for (std::int64_t d = 0; d < depth; d += kTileDepth, tile += kSplitParts * kTileValues) {
      split_tile(x + r, smaller(kTileRows, count - r), first + d, depth - d, tile);
    }
  }
}

template <class Stored, int kParts>
void split_weights_of(const Stored* panel, std::int64_t stride, std::int64_t depth, Bf16* to) {
  const std::int64_t whole = (depth + kTileDepth - 1) / kTileDepth * kTileDepth;
  for (std::int64_t d = 0; d < whole; d += 2, panel += 2 * stride) {
    Bf16* step = to + d / kTileDepth * kParts * 2 * kTileValues + d % kTileDepth * kTileColumns;
    DIFFUSE_UNROLL
    for (std::int64_t c = 0; c < kTilePanel; c += kTileColumns) {
      const Vec even = d < depth ? load(panel + c) : zero();
      const Vec odd = d + 1 < depth ? load(panel + stride + c) : zero();
      split_pair<kParts>(even, odd, step + c / kTileColumns * kTileValues, 2 * kTileValues);
    }
  }
}

/// Weights as SplitKernels::weights says.
inline void split_weights(const void* panel, std::int64_t stride, Held held, std::int64_t depth,
                          void* to) {
  auto* tiles = static_cast<Bf16*>(to);
  switch (held) {
    case Held::as_multiplied:
      return split_weights_of<float, 3>(static_cast<const float*>(panel), stride, depth, tiles);
    case Held::f16:
      return split_weights_of<F16, 2>(static_cast<const F16*>(panel), stride, depth, tiles);
    case Held::bf16:
      return split_weights_of<Bf16, 1>(static_cast<const Bf16*>(panel), stride, depth, tiles);
  }
}

/// Two tiles of rows and two of columns on their way through a step: which parts are in registers.
template <class Tiles, int M>
struct SplitStep {
  const Bf16 *x0, *x1, *w;

  template <int kPart>
  [[gnu::always_inline]] void take_x() const {
    Tiles::template load_once<4>(x0 + (kPart - 1) * kTileValues, 64);
    if constexpr (M == 2) Tiles::template load_once<5>(x1 + (kPart - 1) * kTileValues, 64);
  }
  template <int kPart>
  [[gnu::always_inline]] void take_w() const {
    Tiles::template load<6>(w + (kPart - 1) * 2 * kTileValues, 64);
    Tiles::template load<7>(w + (kPart - 1) * 2 * kTileValues + kTileValues, 64);
  }
  [[gnu::always_inline]] static void multiply() {
    Tiles::template multiply_add<0, 4, 6>();
    Tiles::template multiply_add<1, 4, 7>();
    if constexpr (M == 2) {
      Tiles::template multiply_add<2, 5, 6>();
      Tiles::template multiply_add<3, 5, 7>();
    }
  }
  /// The smallest products first. Parts that are zero change no sum.
  template <int kParts>
  [[gnu::always_inline]] void all() const {
    take_w<1>();
    take_x<3>();
    multiply();
    take_x<2>();
    multiply();
    if constexpr (kParts == 1) {
      take_x<1>();
    } else {
      take_w<2>();
      multiply();
      take_x<1>();
      multiply();
      if constexpr (kParts == 3) {
        take_w<3>();
        multiply();
      }
      take_w<1>();
    }
    multiply();
  }
};

/// What is needed soon is fetched meanwhile, some of it a step: what the outputs of a block of rows
/// touch, and rows that will be split next.
class SplitAhead {
 public:
  SplitAhead(const SplitProduct& product, std::int64_t steps)
      : outputs_(product.output, product.columns),
        steps_(steps),
        next_(static_cast<const std::byte*>(product.next)),
        row_end_(next_ == nullptr ? nullptr : next_ + product.next_row_bytes),
        row_bytes_(product.next_row_bytes),
        stride_(product.next_stride) {
    const std::int64_t blocks = (product.count + kTileBlockRows - 1) / kTileBlockRows;
    left_ = next_ == nullptr ? 0 : product.next_rows * ((row_bytes_ + 63) / 64);
    lines_ = (left_ + blocks * steps - 1) / (blocks * steps);
  }
  /// Rows [begin, begin + count) of outputs come.
  void block(std::int64_t begin, std::int64_t count) { outputs_.block(begin, count, steps_); }
  [[gnu::always_inline]] void step() {
    for (std::int64_t i = smaller(lines_, left_); i > 0; --i) fetch_next();
    outputs_.step();
  }

 private:
  [[gnu::always_inline]] void fetch_next() {
    __builtin_prefetch(next_, 0, 2);
    --left_;
    next_ += 64;
    if (next_ < row_end_) return;
    next_ = row_end_ - row_bytes_ + stride_;
    row_end_ += stride_;
  }
  OutputAhead outputs_;
  std::int64_t steps_;
  const std::byte *next_, *row_end_;
  std::int64_t row_bytes_, stride_, left_ = 0, lines_ = 0;
};

/// sums (+)= x W for M times 16 rows.
template <class Tiles, int M, int kParts>
void split_products(const Bf16* x, std::int64_t steps, const Bf16* weights, const TileSums& sums,
                    SplitAhead& ahead) {
  take_sums<Tiles, M>(sums);
  SplitStep<Tiles, M> step{x, x + steps * kSplitParts * kTileValues, weights};
  for (std::int64_t s = 0; s < steps; ++s) {
    step.template all<kParts>();
    ahead.step();
    step.x0 += kSplitParts * kTileValues;
    step.x1 += kSplitParts * kTileValues;
    step.w += kParts * 2 * kTileValues;
  }
  leave_sums<Tiles, M>(sums);
}

template <class Tiles, int kParts>
void split_product_of(const SplitProduct& product) {
  alignas(64) float own[kTileBlockRows][kTilePanel];
  const std::int64_t steps = (product.depth + kTileDepth - 1) / kTileDepth;
  const auto* x = static_cast<const Bf16*>(product.x);
  const auto* weights = static_cast<const Bf16*>(product.weights);
  SplitAhead ahead(product, steps);
  Tiles::begin();
  for (std::int64_t begin = 0; begin < product.count; begin += kTileBlockRows) {
    const std::int64_t count = smaller(kTileBlockRows, product.count - begin);
    float* kept = product.sums == nullptr ? own[0] : product.sums + begin * kTilePanel;
    const TileSums sums{product.fresh ? nullptr : kept, sizeof(own[0]),
                        product.output == nullptr ? kept : own[0], sizeof(own[0])};
    ahead.block(begin, count);
    if (count > kTileRows) {
      split_products<Tiles, 2, kParts>(x, steps, weights, sums, ahead);
    } else {
      split_products<Tiles, 1, kParts>(x, steps, weights, sums, ahead);
    }
    x += kTileBlockRows / kTileRows * steps * kSplitParts * kTileValues;
    if (product.output == nullptr) continue;
    with_function(product.output->function, [&]<class Fn>(Fn) {
      put_tile_rows<float, Fn>(*product.output, product.columns, begin, count, own);
    });
  }
  Tiles::end();
  if (product.output != nullptr && product.output->past_caches) __builtin_ia32_sfence();
}

template <class Tiles>
void split_product(const SplitProduct& product) {
  switch (product.held) {
    case Held::as_multiplied:
      return split_product_of<Tiles, 3>(product);
    case Held::f16:
      return split_product_of<Tiles, 2>(product);
    case Held::bf16:
      return split_product_of<Tiles, 1>(product);
  }
}

template <class Tiles>
inline constexpr SplitKernels kSplitKernels{kTilePanel, split_rows, split_weights,
                                            split_product<Tiles>, panel_gated<float, kTilePanel>};

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
