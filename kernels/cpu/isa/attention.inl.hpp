#pragma once

// Attention without a score matrix (Dao et al. 2022, arXiv:2205.14135). Included once per
// instruction set. A block of queries meets the keys in tiles of kKeyTile, in order; each query row
// keeps its own reference (near the highest score so far) and sum, so what it gets depends on no
// other row.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

constexpr int kTileVecs = 4;
constexpr std::int64_t kKeyTile = kTileVecs * kLanes;
constexpr std::int64_t kQueryBlock = 8 * kRows;

constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}
constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

/// Products of floats, one per lane and step.
struct F32Products {
  using Element = float;
  using Operand = Vec;
  static constexpr std::int64_t kStep = 1;
  static constexpr int kExpDegree = 5;
  static Operand broadcast(const float* p) { return set1(*p); }
#ifdef __AVX512F__
  static constexpr bool kPairs = true;  ///< the tails of two steps share a vector
  static Operand broadcast_pair(const float* p) {
    double pair;
    __builtin_memcpy(&pair, p, sizeof(pair));
    return _mm512_castpd_ps(_mm512_set1_pd(pair));
  }
#else
  static constexpr bool kPairs = false;
#endif
  static Operand load_operand(const float* p) { return load(p); }
  static Vec multiply_add(Operand a, Operand b, Vec sum) { return fma(a, b, sum); }
  static float convert(float value) { return value; }
  static float convert(Bf16 value) { return to_float(value); }
  static void store_probabilities(float* p, Vec value) { store(p, value); }
};

#ifdef __AVX512BF16__
/// Products of pairs of bfloat16, summed in f32.
struct Bf16Products {
  using Element = Bf16;
  using Operand = __m512i;
  static constexpr std::int64_t kStep = 2;
  static constexpr int kExpDegree = 3;  // its error is far below the rounding to bf16
  static Operand broadcast(const Bf16* p) {
    int pair;
    __builtin_memcpy(&pair, p, sizeof(pair));
    return _mm512_set1_epi32(pair);
  }
  static constexpr bool kPairs = true;
  static Operand broadcast_pair(const Bf16* p) {
    long long pairs;
    __builtin_memcpy(&pairs, p, sizeof(pairs));
    return _mm512_set1_epi64(pairs);
  }
  static Operand load_operand(const Bf16* p) { return _mm512_loadu_si512(p); }
  static Vec multiply_add(Operand a, Operand b, Vec sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
  static Bf16 convert(Bf16 value) { return value; }
  static void store_probabilities(Bf16* p, Vec value) { store(p, value); }
};
#endif

/// Sizes of the packed forms of one head. Values are packed in pairs of steps: the whole vectors of
/// one, of the other, and where no more than half a vector is left over, one vector with the tails
/// of both by turns, element by element, so that no lane is wasted (head_dim 40).
template <class P>
struct Layout {
  std::int64_t depth;   // head_dim in steps, times kStep
  std::int64_t values;  // lanes of an output row: head_dim in whole vectors
  std::int64_t full;    // lanes of the whole vectors of one step
  std::int64_t a_key;   // packed elements for one key
  bool tail;
  explicit Layout(std::int64_t head_dim)
      : depth(round_up(head_dim, P::kStep)), values(round_up(head_dim, kLanes)), full(values) {
    const std::int64_t rest = head_dim % kLanes;
    tail = P::kPairs && head_dim > kLanes && rest > 0 && rest <= kLanes / 2;
    if (tail) full -= kLanes;
    a_key = full + (tail ? kLanes / 2 : 0);
  }
};

template <class P>
std::int64_t packed_bytes(std::int64_t keys, std::int64_t head_dim) {
  const Layout<P> layout(head_dim);
  const std::int64_t width = layout.a_key > layout.depth ? layout.a_key : layout.depth;
  return round_up(keys, kKeyTile) * width * static_cast<std::int64_t>(sizeof(typename P::Element));
}

template <class P>
std::int64_t scratch_bytes(std::int64_t head_dim) {
  const Layout<P> layout(head_dim);
  return kQueryBlock * (layout.values + kLanes + 1) * 4 +
         round_up(
             kQueryBlock * layout.depth * static_cast<std::int64_t>(sizeof(typename P::Element)),
             64);
}

template <class T, class P>
void pack_keys(const void* k_bytes, std::int64_t stride, std::int64_t keys, std::int64_t head_dim,
               void* packed) {
  const T* k = static_cast<const T*>(k_bytes);
  auto* out = static_cast<typename P::Element*>(packed);
  const std::int64_t depth = Layout<P>(head_dim).depth;
  for (std::int64_t k0 = 0; k0 < keys; k0 += kKeyTile, out += kKeyTile * depth) {
    const std::int64_t count = smaller(kKeyTile, keys - k0);
    __builtin_memset(out, 0, static_cast<std::size_t>(kKeyTile * depth) * sizeof(*out));
    for (std::int64_t d = 0; d < head_dim; ++d) {
      const T* from = k + k0 * stride + d;
      auto* to = out + d / P::kStep * P::kStep * kKeyTile + d % P::kStep;
      for (std::int64_t i = 0; i < count; ++i) to[i * P::kStep] = P::convert(from[i * stride]);
    }
  }
}

template <class T, class P>
void pack_values(const void* v_bytes, std::int64_t stride, std::int64_t keys, std::int64_t head_dim,
                 void* packed) {
  const T* v = static_cast<const T*>(v_bytes);
  auto* out = static_cast<typename P::Element*>(packed);
  const Layout<P> layout(head_dim);
  const std::int64_t padded = round_up(keys, kKeyTile);
  if (padded != keys || layout.values != head_dim) {
    __builtin_memset(out, 0, static_cast<std::size_t>(padded * layout.a_key) * sizeof(*out));
  }
  const std::int64_t whole = smaller(layout.full, head_dim);
  for (std::int64_t key = 0; key < keys; ++key) {
    const T* from = v + key * stride;
    auto* pair = out + key / (2 * P::kStep) * 2 * P::kStep * layout.a_key + key % P::kStep;
    const std::int64_t turn = key / P::kStep % 2;
    auto* to = pair + turn * layout.full * P::kStep;
    for (std::int64_t d = 0; d < whole; ++d) to[d * P::kStep] = P::convert(from[d]);
    to = pair + (2 * layout.full + turn) * P::kStep;
    for (std::int64_t d = whole; d < head_dim; ++d) {
      to[2 * (d - whole) * P::kStep] = P::convert(from[d]);
    }
  }
}

/// Scores of R query rows against `kVecs` vectors of keys of a tile, from vector `kFirst` on.
template <class P, int R, int kFirst, int kVecs, int kAll>
void score_block(const typename P::Element* q, std::int64_t depth, const typename P::Element* keys,
                 Vec (&score)[R][kAll]) {
  Vec sum[R][kVecs];
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    DIFFUSE_UNROLL
    for (int j = 0; j < kVecs; ++j) sum[r][j] = zero();
  }
  for (std::int64_t d = 0; d < depth; d += P::kStep) {
    const auto* row = keys + d * kKeyTile + kFirst * kLanes * P::kStep;
    typename P::Operand key[kVecs];
    DIFFUSE_UNROLL
    for (int j = 0; j < kVecs; ++j) key[j] = P::load_operand(row + j * kLanes * P::kStep);
    DIFFUSE_UNROLL
    for (int r = 0; r < R; ++r) {
      const typename P::Operand query = P::broadcast(q + r * depth + d);
      DIFFUSE_UNROLL
      for (int j = 0; j < kVecs; ++j) sum[r][j] = P::multiply_add(query, key[j], sum[r][j]);
    }
  }
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    DIFFUSE_UNROLL
    for (int j = 0; j < kVecs; ++j) score[r][kFirst + j] = sum[r][j];
  }
}

/// Scores against the first kVecs vectors of keys of a tile, in blocks that fit the registers.
template <class P, int R, int kVecs>
void scores(const typename P::Element* q, std::int64_t depth, const typename P::Element* keys,
            Vec (&score)[R][kVecs]) {
  if constexpr (kVecs <= kKeyVecs) {
    score_block<P, R, 0, kVecs>(q, depth, keys, score);
  } else {
    score_block<P, R, 0, kKeyVecs>(q, depth, keys, score);
    score_block<P, R, kKeyVecs, kVecs - kKeyVecs>(q, depth, keys, score);
  }
}

/// o[r] += p[r] v over one tile of keys, for kVecs vectors of values and, if kTail, the one after
/// them that holds the tails of two steps: its even and odd lanes are sums of their own.
template <class P, int R, int kVecs, bool kTail>
void accumulate(const typename P::Element (*p)[kKeyTile], std::int64_t keys,
                const typename P::Element* values, std::int64_t at, const Layout<P>& layout,
                float* o) {
  const auto* tails = values + 2 * layout.full * P::kStep;
  values += at * P::kStep;
  o += at;
  constexpr int kSums = kVecs + (kTail ? 1 : 0);
  Vec sum[R][kSums];
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    DIFFUSE_UNROLL
    for (int v = 0; v < kSums; ++v) sum[r][v] = load(o + r * layout.values + v * kLanes);
  }
  const std::int64_t a_pair = 2 * P::kStep * layout.a_key;
  for (std::int64_t key = 0; key < keys; key += 2 * P::kStep, values += a_pair, tails += a_pair) {
    DIFFUSE_UNROLL
    for (int turn = 0; turn < 2; ++turn) {
      const auto* row = values + turn * layout.full * P::kStep;
      typename P::Operand value[kVecs];
      DIFFUSE_UNROLL
      for (int v = 0; v < kVecs; ++v) value[v] = P::load_operand(row + v * kLanes * P::kStep);
      DIFFUSE_UNROLL
      for (int r = 0; r < R; ++r) {
        const typename P::Operand weight = P::broadcast(p[r] + key + turn * P::kStep);
        DIFFUSE_UNROLL
        for (int v = 0; v < kVecs; ++v) sum[r][v] = P::multiply_add(weight, value[v], sum[r][v]);
      }
    }
    if constexpr (kTail) {
      const typename P::Operand value = P::load_operand(tails);
      DIFFUSE_UNROLL
      for (int r = 0; r < R; ++r) {
        sum[r][kVecs] = P::multiply_add(P::broadcast_pair(p[r] + key), value, sum[r][kVecs]);
      }
    }
  }
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    DIFFUSE_UNROLL
    for (int v = 0; v < kSums; ++v) store(o + r * layout.values + v * kLanes, sum[r][v]);
  }
}

/// All value vectors in register blocks of even size.
template <class P, int R>
void accumulate_all(const typename P::Element (*p)[kKeyTile], std::int64_t keys,
                    const typename P::Element* values, const Layout<P>& layout, float* o) {
  std::int64_t left = layout.full / kLanes;
  std::int64_t at = 0;
  if constexpr (P::kPairs) {
    if (layout.tail) {  // the last two vectors, or one of one, go with the tail
      const std::int64_t last = smaller(2, left);
      left -= last;
      if (last == 1) accumulate<P, R, 1, true>(p, keys, values, left * kLanes, layout, o);
      if (last == 2) accumulate<P, R, 2, true>(p, keys, values, left * kLanes, layout, o);
    }
  }
  std::int64_t blocks = (left + kValueVecs - 1) / kValueVecs;
  for (; left > 0; --blocks) {
    const std::int64_t vecs = (left + blocks - 1) / blocks;
    if (vecs == 1) accumulate<P, R, 1, false>(p, keys, values, at, layout, o);
    if (vecs == 2) accumulate<P, R, 2, false>(p, keys, values, at, layout, o);
    if constexpr (kValueVecs >= 4) {
      if (vecs == 3) accumulate<P, R, 3, false>(p, keys, values, at, layout, o);
      if (vecs == 4) accumulate<P, R, 4, false>(p, keys, values, at, layout, o);
    }
    at += vecs * kLanes;
    left -= vecs;
  }
}

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
  float lanes[kLanes];
  store(lanes, score);
  for (std::int64_t i = count < 0 ? 0 : count; i < kLanes; ++i) lanes[i] = kHidden;
  return load(lanes);
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
    DIFFUSE_UNROLL
    for (int j = 0; j < kVecs; ++j) score[r][j] = mul(score[r][j], scale);
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
    if (any_greater(top, set1(reference + kSlack))) {
      rescale<P>(top, o + r * layout.values, layout.values, total, reference);
    }
    const Vec origin = set1(reference);
    Vec sum = load(total);
    DIFFUSE_UNROLL
    for (int j = 0; j < kVecs; ++j) {
      const Vec e = exp2_vec<P::kExpDegree>(sub(score[r][j], origin));
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

template <class T, class P>
void attention_block(const AttentionBlock& block) {
  using Element = typename P::Element;
  const Layout<P> layout(block.head_dim);
  BlockState<P> state;
  state.o = static_cast<float*>(block.scratch);
  state.total = state.o + kQueryBlock * layout.values;
  state.reference = state.total + kQueryBlock * kLanes;
  state.q = reinterpret_cast<Element*>(state.reference + kQueryBlock);

  for (std::int64_t r = 0; r < block.rows; ++r) {
    const T* from = static_cast<const T*>(block.q) + r * block.q_stride;
    Element* to = state.q + r * layout.depth;
    to[layout.depth - 1] = Element{};
    for (std::int64_t d = 0; d < block.head_dim; ++d) to[d] = P::convert(from[d]);
    state.reference[r] = kHidden;
    store(state.total + r * kLanes, zero());
    for (std::int64_t d = 0; d < layout.values; ++d) state.o[r * layout.values + d] = 0;
  }

  const std::int64_t end =
      block.causal ? smaller(block.keys, block.first_row + block.rows) : block.keys;
  for (std::int64_t k0 = 0; k0 < end; k0 += kKeyTile) {
    for (std::int64_t r0 = 0; r0 < block.rows; r0 += kRows) meet_tile_rows(block, state, r0, k0);
  }

  for (std::int64_t r = 0; r < block.rows; ++r) {
    T* to = static_cast<T*>(block.y) + r * block.y_stride;
    const float* o = state.o + r * layout.values;
    const Vec factor = set1(1.0F / reduce_add(load(state.total + r * kLanes)));
    std::int64_t d = 0;
    for (; d + kLanes <= block.head_dim; d += kLanes) store(to + d, mul(load(o + d), factor));
    if (layout.tail) {
      float sums[kLanes] = {};
      for (std::int64_t i = 0; i < kLanes / 2; ++i) sums[i] = o[d + 2 * i] + o[d + 2 * i + 1];
      store_n(to + d, mul(load(sums), factor), static_cast<int>(block.head_dim - d));
    } else if (d < block.head_dim) {
      store_n(to + d, mul(load(o + d), factor), static_cast<int>(block.head_dim - d));
    }
  }
}

template <class T, class P>
constexpr AttentionKernels attention_kernels() {
  return {kQueryBlock,     packed_bytes<P>,   scratch_bytes<P>,
          pack_keys<T, P>, pack_values<T, P>, attention_block<T, P>};
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
