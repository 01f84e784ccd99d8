#pragma once

// Attention without a score matrix (Dao et al. 2022, arXiv:2205.14135). Included once per
// instruction set. A block of queries meets the keys in tiles of kKeyTile, in order; each query row
// keeps its own running maximum and sum, so what it gets depends on no other row.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

constexpr std::int64_t kKeyTile = 64;
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
  static constexpr int kExpDegree = 6;
  static Operand broadcast(const float* p) { return set1(*p); }
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
  static constexpr int kExpDegree = 4;  // its error is far below the rounding to bf16
  static Operand broadcast(const Bf16* p) {
    int pair;
    __builtin_memcpy(&pair, p, sizeof(pair));
    return _mm512_set1_epi32(pair);
  }
  static Operand load_operand(const Bf16* p) { return _mm512_loadu_si512(p); }
  static Vec multiply_add(Operand a, Operand b, Vec sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
  static Bf16 convert(Bf16 value) { return value; }
  static void store_probabilities(Bf16* p, Vec value) { store(p, value); }
};
#endif

/// Sizes of the packed forms of one head.
template <class P>
struct Layout {
  std::int64_t depth;   // head_dim in steps, times kStep
  std::int64_t values;  // head_dim in whole vectors
  explicit Layout(std::int64_t head_dim)
      : depth(round_up(head_dim, P::kStep)), values(round_up(head_dim, kLanes)) {}
};

template <class P>
std::int64_t packed_bytes(std::int64_t keys, std::int64_t head_dim) {
  const Layout<P> layout(head_dim);
  const std::int64_t width = layout.values > layout.depth ? layout.values : layout.depth;
  return round_up(keys, kKeyTile) * width * static_cast<std::int64_t>(sizeof(typename P::Element));
}

template <class P>
std::int64_t scratch_bytes(std::int64_t head_dim) {
  const Layout<P> layout(head_dim);
  return kQueryBlock * (layout.values + 2) * 4 +
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
  const std::int64_t width = Layout<P>(head_dim).values;
  const std::int64_t padded = round_up(keys, kKeyTile);
  if (padded != keys || width != head_dim) {
    __builtin_memset(out, 0, static_cast<std::size_t>(padded * width) * sizeof(*out));
  }
  for (std::int64_t key = 0; key < keys; ++key) {
    auto* to = out + key / P::kStep * P::kStep * width + key % P::kStep;
    for (std::int64_t d = 0; d < head_dim; ++d) {
      to[d * P::kStep] = P::convert(v[key * stride + d]);
    }
  }
}

/// Scores of R query rows against kVecs vectors of keys of a tile, times `scale`.
template <class P, int R, int kVecs>
void score_block(const typename P::Element* q, std::int64_t depth, const typename P::Element* keys,
                 float scale, float (*out)[kKeyTile], std::int64_t first) {
  Vec sum[R][kVecs];
  for (int r = 0; r < R; ++r) {
    for (int j = 0; j < kVecs; ++j) sum[r][j] = zero();
  }
  for (std::int64_t d = 0; d < depth; d += P::kStep) {
    const auto* row = keys + d * kKeyTile + first * P::kStep;
    typename P::Operand key[kVecs];
    for (int j = 0; j < kVecs; ++j) key[j] = P::load_operand(row + j * kLanes * P::kStep);
    for (int r = 0; r < R; ++r) {
      const typename P::Operand query = P::broadcast(q + r * depth + d);
      for (int j = 0; j < kVecs; ++j) sum[r][j] = P::multiply_add(query, key[j], sum[r][j]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int j = 0; j < kVecs; ++j) {
      store(out[r] + first + j * kLanes, mul(sum[r][j], set1(scale)));
    }
  }
}

/// Scores against the first `keys_here` keys of a tile, in whole vectors.
template <class P, int R>
void scores(const typename P::Element* q, std::int64_t depth, const typename P::Element* keys,
            std::int64_t keys_here, float scale, float (*out)[kKeyTile]) {
  for (std::int64_t j = 0; j < keys_here; j += kKeyVecs * kLanes) {
    const std::int64_t vecs = smaller(kKeyVecs, round_up(keys_here - j, kLanes) / kLanes);
    if (vecs == kKeyVecs) score_block<P, R, kKeyVecs>(q, depth, keys, scale, out, j);
    if constexpr (kKeyVecs == 4) {
      if (vecs == 3) score_block<P, R, 3>(q, depth, keys, scale, out, j);
      if (vecs == 2) score_block<P, R, 2>(q, depth, keys, scale, out, j);
    }
    if (vecs == 1) score_block<P, R, 1>(q, depth, keys, scale, out, j);
  }
}

/// o[r] += p[r] v over one tile of keys, for kVecs vectors of values.
template <class P, int R, int kVecs>
void accumulate(const typename P::Element (*p)[kKeyTile], std::int64_t keys,
                const typename P::Element* values, std::int64_t width, float* o) {
  Vec sum[R][kVecs];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVecs; ++v) sum[r][v] = load(o + r * width + v * kLanes);
  }
  for (std::int64_t key = 0; key < keys; key += P::kStep) {
    const auto* row = values + key * width;
    typename P::Operand value[kVecs];
    for (int v = 0; v < kVecs; ++v) value[v] = P::load_operand(row + v * kLanes * P::kStep);
    for (int r = 0; r < R; ++r) {
      const typename P::Operand weight = P::broadcast(p[r] + key);
      for (int v = 0; v < kVecs; ++v) sum[r][v] = P::multiply_add(weight, value[v], sum[r][v]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVecs; ++v) store(o + r * width + v * kLanes, sum[r][v]);
  }
}

/// All value vectors in register blocks of even size.
template <class P, int R>
void accumulate_all(const typename P::Element (*p)[kKeyTile], std::int64_t keys,
                    const typename P::Element* values, std::int64_t width, float* o) {
  std::int64_t left = width / kLanes;
  std::int64_t blocks = (left + kValueVecs - 1) / kValueVecs;
  for (std::int64_t at = 0; left > 0; --blocks) {
    const std::int64_t vecs = (left + blocks - 1) / blocks;
    const auto* from = values + at * kLanes * P::kStep;
    float* to = o + at * kLanes;
    if (vecs == 1) accumulate<P, R, 1>(p, keys, from, width, to);
    if (vecs == 2) accumulate<P, R, 2>(p, keys, from, width, to);
    if constexpr (kValueVecs >= 4) {
      if (vecs == 3) accumulate<P, R, 3>(p, keys, from, width, to);
      if (vecs == 4) accumulate<P, R, 4>(p, keys, from, width, to);
    }
    at += vecs;
    left -= vecs;
  }
}

/// Softmax weights of one row of scores in place of them; rescales what the row has summed so far.
template <class P>
void soften(const float* score, std::int64_t keys_here, typename P::Element* p, float& highest,
            float& total, float* o, std::int64_t width) {
  Vec top = load(score);
  for (std::int64_t j = kLanes; j < keys_here; j += kLanes) top = max(top, load(score + j));
  const float tile_highest = reduce_max(top);
  if (!(tile_highest <= highest)) {
    const Vec shrink = exp2_vec<P::kExpDegree>(set1(highest - tile_highest));
    highest = tile_highest;
    total *= reduce_max(shrink);
    for (std::int64_t d = 0; d < width; d += kLanes) store(o + d, mul(load(o + d), shrink));
  }
  const Vec origin = set1(highest);
  Vec sum = zero();
  for (std::int64_t j = 0; j < keys_here; j += kLanes) {
    const Vec e = exp2_vec<P::kExpDegree>(sub(load(score + j), origin));
    sum = add(sum, e);
    P::store_probabilities(p + j, e);
  }
  total += reduce_add(sum);
}

/// What a block of query rows has summed up so far.
template <class P>
struct BlockState {
  typename P::Element* q;  // [kQueryBlock][depth]
  float* o;                // [kQueryBlock][values]
  float* highest;          // [kQueryBlock], in units of log2
  float* total;            // [kQueryBlock]
};

/// R rows from row r0 of the block meet the tile of keys that begins at k0.
template <class P, int R>
void meet_tile(const AttentionBlock& block, const BlockState<P>& state, std::int64_t r0,
               std::int64_t k0) {
  using Element = typename P::Element;
  const Layout<P> layout(block.head_dim);
  const auto* keys = static_cast<const Element*>(block.packed_keys) + k0 * layout.depth;
  const auto* values = static_cast<const Element*>(block.packed_values) + k0 * layout.values;
  alignas(64) float score[R][kKeyTile];
  alignas(64) Element p[R][kKeyTile];
  constexpr float kLog2E = 1.44269504088896341F;
  const std::int64_t present = smaller(kKeyTile, block.keys - k0);
  scores<P, R>(state.q + r0 * layout.depth, layout.depth, keys, present, block.scale * kLog2E,
               score);

  const std::int64_t end = round_up(present, kLanes);
  float* o = state.o + r0 * layout.values;
  for (int r = 0; r < R; ++r) {
    std::int64_t visible = present;
    if (block.causal) visible = smaller(visible, block.first_row + r0 + r - k0 + 1);
    for (std::int64_t j = visible < 0 ? 0 : visible; j < end; ++j) {
      score[r][j] = -__builtin_inff();
    }
    soften<P>(score[r], present, p[r], state.highest[r0 + r], state.total[r0 + r],
              o + r * layout.values, layout.values);
  }
  accumulate_all<P, R>(p, present, values, layout.values, o);
}

template <class P>
void meet_tile_rows(const AttentionBlock& block, const BlockState<P>& state, std::int64_t r0,
                    std::int64_t k0) {
  switch (smaller(kRows, block.rows - r0)) {
    case 1:
      return meet_tile<P, 1>(block, state, r0, k0);
    case 2:
      return meet_tile<P, 2>(block, state, r0, k0);
    case 3:
      return meet_tile<P, 3>(block, state, r0, k0);
    case 4:
      return meet_tile<P, 4>(block, state, r0, k0);
    case 5:
      return meet_tile<P, 5>(block, state, r0, k0);
    default:
      return meet_tile<P, kRows>(block, state, r0, k0);
  }
}

template <class T, class P>
void attention_block(const AttentionBlock& block) {
  using Element = typename P::Element;
  const Layout<P> layout(block.head_dim);
  BlockState<P> state;
  state.o = static_cast<float*>(block.scratch);
  state.highest = state.o + kQueryBlock * layout.values;
  state.total = state.highest + kQueryBlock;
  state.q = reinterpret_cast<Element*>(state.total + kQueryBlock);

  for (std::int64_t r = 0; r < block.rows; ++r) {
    const T* from = static_cast<const T*>(block.q) + r * block.q_stride;
    Element* to = state.q + r * layout.depth;
    to[layout.depth - 1] = Element{};
    for (std::int64_t d = 0; d < block.head_dim; ++d) to[d] = P::convert(from[d]);
    state.highest[r] = -__builtin_inff();
    state.total[r] = 0;
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
    const Vec factor = set1(1.0F / state.total[r]);
    std::int64_t d = 0;
    for (; d + kLanes <= block.head_dim; d += kLanes) store(to + d, mul(load(o + d), factor));
    if (d < block.head_dim) {
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
