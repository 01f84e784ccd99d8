#pragma once

// How attention multiplies, and the packed forms of the keys and values of one head. Included once
// per instruction set.

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
  static Vec add_pairs(Vec sums) { return cpu::DIFFUSE_CPU_ISA::add_pairs(sums); }
#else
  static constexpr bool kPairs = false;
#endif
  static Operand load_operand(const float* p) { return load(p); }
  static Vec multiply_add(Operand a, Operand b, Vec sum) { return fma(a, b, sum); }
  static float convert(float value) { return value; }
  static float convert(Bf16 value) { return to_float(value); }
  /// What one lane multiplies at a time.
  using Unit = float;
  template <class T>
  static Unit unit(const T* first, const T*) {
    return convert(*first);
  }
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
  static Vec add_pairs(Vec sums) { return cpu::DIFFUSE_CPU_ISA::add_pairs(sums); }
  static Operand load_operand(const Bf16* p) { return _mm512_loadu_si512(p); }
  static Vec multiply_add(Operand a, Operand b, Vec sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
  static Bf16 convert(Bf16 value) { return value; }
  using Unit = std::uint32_t;
  static Unit unit(const Bf16* first, const Bf16* second) {
    return first->bits | static_cast<Unit>(second->bits) << 16U;
  }
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

/// Fetches what is read of a head some rows further on: rows lie too far apart for the processor to
/// see it coming.
template <class T>
void fetch_row(const T* rows, std::int64_t stride, std::int64_t row, std::int64_t count,
               std::int64_t head_dim) {
  constexpr std::int64_t kRowsAhead = 16;
  constexpr auto kLine = static_cast<std::int64_t>(64 / sizeof(T));
  if (row + kRowsAhead >= count) return;
  const T* from = rows + (row + kRowsAhead) * stride;
  for (std::int64_t d = 0; d < head_dim; d += kLine) __builtin_prefetch(from + d);
  __builtin_prefetch(from + head_dim - 1);
}

/// Keys as tiles [depth / kStep][kKeyTile] of units: of a key's dimensions, kStep neighbours.
template <class T, class P>
void pack_keys(const void* k_bytes, std::int64_t stride, std::int64_t keys, std::int64_t head_dim,
               void* packed) {
  const T* k = static_cast<const T*>(k_bytes);
  auto* out = static_cast<typename P::Unit*>(packed);
  const std::int64_t whole = head_dim / P::kStep;
  const std::int64_t tile = Layout<P>(head_dim).depth / P::kStep * kKeyTile;
  const T nought{};
  for (std::int64_t k0 = 0; k0 < keys; k0 += kKeyTile, out += tile) {
    const std::int64_t count = smaller(kKeyTile, keys - k0);
    if (count < kKeyTile) __builtin_memset(out, 0, static_cast<std::size_t>(tile) * sizeof(*out));
    for (std::int64_t i = 0; i < count; ++i) {
      const T* from = k + (k0 + i) * stride;
      fetch_row(k, stride, k0 + i, keys, head_dim);
      auto* to = out + i;
      // A share of the next tile's lines, which the writes below touch one after another.
      const auto* next = out + tile + i * (tile / kKeyTile);
      for (std::int64_t u = 0; u < tile / kKeyTile; u += 16) __builtin_prefetch(next + u, 1);
      for (std::int64_t u = 0; u < whole; ++u, from += P::kStep) {
        to[u * kKeyTile] = P::unit(from, from + P::kStep - 1);
      }
      if (whole * P::kStep < head_dim) to[whole * kKeyTile] = P::unit(from, &nought);
    }
  }
}

/// Values as pairs of steps (Layout) of units: of kStep keys, the same dimension.
template <class T, class P>
void pack_values(const void* v_bytes, std::int64_t stride, std::int64_t keys, std::int64_t head_dim,
                 void* packed) {
  const T* v = static_cast<const T*>(v_bytes);
  auto* out = static_cast<typename P::Unit*>(packed);
  const Layout<P> layout(head_dim);
  const std::int64_t padded = round_up(keys, kKeyTile);
  if (padded != keys || layout.values != head_dim) {
    __builtin_memset(packed, 0,
                     static_cast<std::size_t>(padded * layout.a_key) * sizeof(typename P::Element));
  }
  const std::int64_t whole = smaller(layout.full, head_dim);
  for (std::int64_t key = 0; key < keys; key += P::kStep) {
    const T* first = v + key * stride;
    for (std::int64_t i = 0; i < P::kStep; ++i) fetch_row(v, stride, key + i, keys, head_dim);
    auto* pair = out + key / (2 * P::kStep) * 2 * layout.a_key;
    const std::int64_t turn = key / P::kStep % 2;
    auto* to = pair + turn * layout.full;
    auto* tails = pair + 2 * layout.full + turn;
    if (key + P::kStep <= keys) {
      const T* last = first + (P::kStep - 1) * stride;
      for (std::int64_t d = 0; d < whole; ++d) to[d] = P::unit(first + d, last + d);
      for (std::int64_t d = whole; d < head_dim; ++d) {
        tails[2 * (d - whole)] = P::unit(first + d, last + d);
      }
    } else {  // the last key is alone in its step
      const T nought{};
      for (std::int64_t d = 0; d < whole; ++d) to[d] = P::unit(first + d, &nought);
      for (std::int64_t d = whole; d < head_dim; ++d) {
        tails[2 * (d - whole)] = P::unit(first + d, &nought);
      }
    }
  }
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
