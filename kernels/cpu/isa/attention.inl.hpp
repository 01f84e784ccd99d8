#pragma once

// Attention without a score matrix (Dao et al. 2022, arXiv:2205.14135). Included once per
// instruction set. A block of queries meets the keys in tiles of kKeyTile, in order; each query row
// keeps its own reference (near the highest score so far) and sum, so what it gets depends on no
// other row.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

/// What a block of query rows has summed up so far.
template <class P>
struct BlockState {
  typename P::Element* q;  // [kQueryBlock][depth]
  float* o;                // [kQueryBlock][values]
  float* total;            // [kQueryBlock][kLanes]: sums of lanes
  float* reference;        // [kQueryBlock], in units of log2
};

// Scores below any that is reached, and a first reference: finite, so that differences are.
constexpr float kHidden = -1e30F;

/// A score may exceed its row's reference by this much, in units of log2, before the row is
/// rescaled: then the weights stay below 2^8, and most tiles need no new maximum.
constexpr float kSlack = 8.0F;

/// The reference of a row becomes the maximum of `top`; what was summed so far is scaled to it.
template <class P>
void rescale(Vec top, float* o, std::int64_t width, float* total, float& reference) {
  const float highest = reduce_max(top);
  const Vec shrink = exp2_vec<P::kExpDegree>(set1(reference - highest));
  reference = highest;
  store(total, mul(load(total), shrink));
  for (std::int64_t d = 0; d < width; d += kLanes) store(o + d, mul(load(o + d), shrink));
}

/// Lanes from `count` on are hidden.
inline Vec hide_after(Vec score, std::int64_t count) {
  alignas(64) static constexpr float kIndex[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                   8, 9, 10, 11, 12, 13, 14, 15};
  static_assert(kLanes <= 16);
  return select_greater(set1(static_cast<float>(count)), load(kIndex), score, set1(kHidden));
}

/// R rows from row r0 of the block meet the first kVecs vectors of keys of the tile at k0.
template <class P, int R, int kVecs>
void meet_tile(const AttentionBlock& block, const BlockState<P>& state, std::int64_t r0,
               std::int64_t k0) {
  using Element = typename P::Element;
  const Layout<P> layout(block.head_dim);
  const auto* keys = static_cast<const Element*>(block.packed_keys) + k0 * layout.depth;
  const auto* values = static_cast<const Element*>(block.packed_values) + k0 * layout.a_key;
  constexpr float kLog2E = 1.44269504088896341F;
  const std::int64_t present = smaller(kKeyTile, block.keys - k0);
  float* o = state.o + r0 * layout.values;
  Vec score[R][kVecs];
  scores<P, R, kVecs>(state.q + r0 * layout.depth, layout.depth, keys, score);

  alignas(64) Element p[R][kKeyTile];
  const Vec scale = set1(block.scale * kLog2E);
  const bool partial = present < kVecs * kLanes || block.causal;
  for (int r = 0; r < R; ++r) {
    if (partial) {
      std::int64_t visible = present;
      if (block.causal) visible = smaller(visible, block.first_row + r0 + r - k0 + 1);
      DIFFUSE_UNROLL
      for (int j = 0; j < kVecs; ++j) score[r][j] = hide_after(score[r][j], visible - j * kLanes);
    }
    float& reference = state.reference[r0 + r];
    float* total = state.total + (r0 + r) * kLanes;
    Vec top = score[r][0];
    DIFFUSE_UNROLL
    for (int j = 1; j < kVecs; ++j) top = max(top, score[r][j]);
    top = mul(top, scale);
    if (any_greater(top, set1(reference + kSlack))) {
      rescale<P>(top, o + r * layout.values, layout.values, total, reference);
    }
    const Vec origin = set1(-reference);
    Vec sum = load(total);
    DIFFUSE_UNROLL
    for (int j = 0; j < kVecs; ++j) {
      const Vec e = exp2_vec<P::kExpDegree>(fma(score[r][j], scale, origin));
      sum = add(sum, e);
      P::store_probabilities(p[r] + j * kLanes, e);
    }
    store(total, sum);
  }
  accumulate_all<P, R>(p, present, values, layout, o);
}

/// The same for the keys that are there.
template <class P, int R>
void meet_keys(const AttentionBlock& block, const BlockState<P>& state, std::int64_t r0,
               std::int64_t k0) {
  switch ((smaller(kKeyTile, block.keys - k0) + kLanes - 1) / kLanes) {
    case 1:
      return meet_tile<P, R, 1>(block, state, r0, k0);
    case 2:
      return meet_tile<P, R, 2>(block, state, r0, k0);
    case 3:
      return meet_tile<P, R, 3>(block, state, r0, k0);
    default:
      return meet_tile<P, R, kTileVecs>(block, state, r0, k0);
  }
}

template <class P>
void meet_tile_rows(const AttentionBlock& block, const BlockState<P>& state, std::int64_t r0,
                    std::int64_t k0) {
  switch (smaller(kRows, block.rows - r0)) {
    case 1:
      return meet_keys<P, 1>(block, state, r0, k0);
    case 2:
      return meet_keys<P, 2>(block, state, r0, k0);
    case 3:
      return meet_keys<P, 3>(block, state, r0, k0);
    case 4:
      return meet_keys<P, 4>(block, state, r0, k0);
    case 5:
      return meet_keys<P, 5>(block, state, r0, k0);
    default:
      return meet_keys<P, kRows>(block, state, r0, k0);
  }
}

/// Nothing has been met yet.
template <class T, class P>
void begin_row(const AttentionBlock& block, const BlockState<P>& state, std::int64_t r) {
  using Element = typename P::Element;
  const Layout<P> layout(block.head_dim);
  const T* from = static_cast<const T*>(block.q) + r * block.q_stride;
  Element* to = state.q + r * layout.depth;
  to[layout.depth - 1] = Element{};
  for (std::int64_t d = 0; d < block.head_dim; d += kLanes) {
    const auto n = static_cast<int>(smaller(kLanes, block.head_dim - d));
    if (n == kLanes) {
      store(to + d, load(from + d));
    } else {
      store_n(to + d, load_n(from + d, n), n);
    }
  }
  const T* y = static_cast<const T*>(block.y) + r * block.y_stride;  // wanted when all is met
  for (std::int64_t d = 0; d < block.head_dim; d += kLanes) __builtin_prefetch(y + d, 1, 2);
  state.reference[r] = kHidden;
  store(state.total + r * kLanes, zero());
  float* o = state.o + r * layout.values;
  for (std::int64_t d = 0; d < layout.values; d += kLanes) store(o + d, zero());
}

/// All has been met.
template <class T, class P>
void finish_row(const AttentionBlock& block, const BlockState<P>& state, std::int64_t r) {
  const Layout<P> layout(block.head_dim);
  T* to = static_cast<T*>(block.y) + r * block.y_stride;
  const float* o = state.o + r * layout.values;
  const Vec factor = set1(1.0F / reduce_add(load(state.total + r * kLanes)));
  std::int64_t d = 0;
  for (; d + kLanes <= block.head_dim; d += kLanes) store(to + d, mul(load(o + d), factor));
  if (d == block.head_dim) return;
  Vec last = load(o + d);
  if constexpr (P::kPairs) {
    if (layout.tail) last = P::add_pairs(last);
  }
  store_n(to + d, mul(last, factor), static_cast<int>(block.head_dim - d));
}

template <class T, class P>
void attention_block(const AttentionBlock& block) {
  const Layout<P> layout(block.head_dim);
  BlockState<P> state;
  state.o = static_cast<float*>(block.scratch);
  state.total = state.o + kQueryBlock * layout.values;
  state.reference = state.total + kQueryBlock * kLanes;
  state.q = reinterpret_cast<typename P::Element*>(state.reference + kQueryBlock);
  for (std::int64_t r = 0; r < block.rows; ++r) {
    fetch_row(static_cast<const T*>(block.q), block.q_stride, r, block.rows, block.head_dim);
    begin_row<T>(block, state, r);
  }
  const std::int64_t end =
      block.causal ? smaller(block.keys, block.first_row + block.rows) : block.keys;
  for (std::int64_t k0 = 0; k0 < end; k0 += kKeyTile) {
    for (std::int64_t r0 = 0; r0 < block.rows; r0 += kRows) meet_tile_rows(block, state, r0, k0);
  }
  for (std::int64_t r = 0; r < block.rows; ++r) finish_row<T>(block, state, r);
}

template <class T, class P>
constexpr AttentionKernels attention_kernels() {
  return {kQueryBlock,     kQueryBlock,       packed_bytes<P>,      scratch_bytes<P>,
          pack_keys<T, P>, pack_values<T, P>, attention_block<T, P>};
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
