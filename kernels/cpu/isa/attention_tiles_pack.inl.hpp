#pragma once

// Queries, keys and values of one head as a tile unit multiplies them (isa/tiles.hpp). A tile is
// 16 rows of 64 bytes without gaps, so that tiles fill the caches evenly. Included once per
// instruction set that has such a unit.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

constexpr std::int64_t kTileSums = 256;  ///< f32
constexpr std::int64_t kTileLine = 16;   ///< rows of a tile, sums of a row, pairs of a row
constexpr std::int64_t kStepKeys = 32;   ///< keys that a product of weights with values meets
constexpr std::int64_t kGroupRows = 32;  ///< query rows that meet keys together

/// Attention in bf16.
struct Bf16Numbers {
  using Element = Bf16;
  static constexpr int kParts = 1;     ///< of a number
  static constexpr int kProducts = 1;  ///< of the parts of two
  static constexpr int kExpDegree = 3;
  static std::int64_t lines(std::int64_t dimensions) { return dimensions > 0 ? 1 : 0; }
};

/// Attention in f32, by numbers of several parts (split_numbers.inl.hpp). 32 dimensions of a query
/// or a key are a line of 32 for each part. What is left of them would fill half a line: there the
/// products of parts are made along the line. 16 dimensions of a query are three lines,
/// [q1 q1] [q2 q2] [q1 q3], and of a key [k1 k2] [k1 k2] [k3 k1]; up to 8 at the end are two,
/// [q1 q1 q2 q2] [q1 q3 0 0] and [k1 k2 k1 k2] [k3 k1 0 0].
struct SplitNumbers {
  using Element = float;
  static constexpr int kParts = kSplitParts;
  static constexpr int kProducts = 6;
  static constexpr int kExpDegree = 5;
  /// Of less than 32 dimensions.
  static std::int64_t lines(std::int64_t dimensions) {
    return dimensions / 16 * 3 + (dimensions % 16 == 0 ? 0 : dimensions % 16 <= 8 ? 2 : 3);
  }
};

/// Sizes of one head, in tiles; zeros where there is no dimension.
template <class N>
struct TileLayout {
  std::int64_t whole;    ///< 32s of head_dim
  std::int64_t lines;    ///< of what is left
  std::int64_t columns;  ///< of a product of weights with values: head_dim and a one, in 16s
  explicit TileLayout(std::int64_t head_dim)
      : whole(head_dim / 32), lines(N::lines(head_dim % 32)), columns(head_dim / 16 + 1) {}
  /// Values of kStepKeys packed keys, [lines][2 times 16 keys][pairs of a line][16 keys][2].
  [[nodiscard]] std::int64_t key_step() const {
    return (whole * N::kParts + lines) * 2 * kTileValues;
  }
  /// Products of tiles that the scores of 32 rows and kStepKeys keys take.
  [[nodiscard]] std::int64_t score_products() const { return 4 * (whole * N::kProducts + lines); }
  /// Values of kStepKeys packed values, [columns][parts][pairs of keys][16 dimensions][2].
  [[nodiscard]] std::int64_t value_step() const { return columns * N::kParts * kTileValues; }
};

template <class N>
std::int64_t tile_packed_bytes(std::int64_t keys, std::int64_t head_dim) {
  const TileLayout<N> layout(head_dim);
  const bool keys_larger = layout.key_step() > layout.value_step();
  const std::int64_t step = keys_larger ? layout.key_step() : layout.value_step();
  return round_up(keys, kStepKeys) / kStepKeys * step * static_cast<std::int64_t>(sizeof(Bf16));
}

/// Up to `width` values of a row, then zeros.
inline __m512i load_up_to_32(const Bf16* from, std::int64_t width) {
  if (width >= 32) return _mm512_loadu_si512(from);
  return _mm512_maskz_loadu_epi16((1U << width) - 1U, from);
}

/// 16 rows of 16 units of 32 bits become 16 columns.
inline void transpose_units(__m512i (&v)[16]) {
  __m512i t[16];
  DIFFUSE_UNROLL
  for (int i = 0; i < 16; i += 4) {  // fours of rows: each lane of 128 bits is a block of 4x4
    const __m512i a = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    const __m512i b = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    const __m512i c = _mm512_unpacklo_epi32(v[i + 2], v[i + 3]);
    const __m512i d = _mm512_unpackhi_epi32(v[i + 2], v[i + 3]);
    t[i] = _mm512_unpacklo_epi64(a, c);
    t[i + 1] = _mm512_unpackhi_epi64(a, c);
    t[i + 2] = _mm512_unpacklo_epi64(b, d);
    t[i + 3] = _mm512_unpackhi_epi64(b, d);
  }
  DIFFUSE_UNROLL
  for (int i = 0; i < 4; ++i) {  // the blocks themselves
    const __m512i even = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88);
    const __m512i odd = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xDD);
    const __m512i next_even = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88);
    const __m512i next_odd = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xDD);
    v[i] = _mm512_shuffle_i32x4(even, next_even, 0x88);
    v[i + 4] = _mm512_shuffle_i32x4(odd, next_odd, 0x88);
    v[i + 8] = _mm512_shuffle_i32x4(even, next_even, 0xDD);
    v[i + 12] = _mm512_shuffle_i32x4(odd, next_odd, 0xDD);
  }
}

/// The lines of some dimensions of a query or a key.
template <bool kKey>
[[gnu::always_inline]] inline void split_lines(Vec values, int lines, __m512i* to) {
  __m512i part[kSplitParts];
  split(values, part);
  if (lines == 3) {
    to[0] = join(part[0], part[kKey ? 1 : 0]);
    to[1] = kKey ? to[0] : join(part[1], part[1]);
    to[2] = kKey ? join(part[2], part[0]) : join(part[0], part[2]);
    return;
  }
  // Eights of the first and the second number.
  const __m512i one_two =
      _mm512_set_epi16(47, 45, 43, 41, 39, 37, 35, 33, 15, 13, 11, 9, 7, 5, 3, 1, 47, 45, 43, 41,
                       39, 37, 35, 33, 15, 13, 11, 9, 7, 5, 3, 1);
  const __m512i both = _mm512_permutex2var_epi16(part[0], one_two, part[1]);
  to[0] = kKey ? both : _mm512_shuffle_i32x4(both, both, 0x50);
  const __m512i ends = kKey ? _mm512_permutex2var_epi16(part[2], one_two, part[0])
                            : _mm512_permutex2var_epi16(part[0], one_two, part[2]);
  to[1] = _mm512_maskz_mov_epi64(0xF, ends);
}

inline Vec load_up_to_16(const float* from, std::int64_t width) {
  return width >= 16 ? load(from) : load_n(from, static_cast<int>(width));
}

/// The dimensions from `d` on that are in lines together: [line][row of a tile], and how many lines
/// that are. Returns how many dimensions.
template <bool kKey>
std::int64_t tile_lines(const Bf16* from, std::int64_t stride, std::int64_t rows, std::int64_t d,
                        std::int64_t head_dim, __m512i (&lines)[3][16], int& count) {
  count = 1;
  for (std::int64_t i = 0; i < 16; ++i) {
    lines[0][i] =
        i < rows ? load_up_to_32(from + i * stride + d, head_dim - d) : _mm512_setzero_si512();
  }
  return 32;
}
template <bool kKey>
std::int64_t tile_lines(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t d,
                        std::int64_t head_dim, __m512i (&lines)[3][16], int& count) {
  const std::int64_t left = head_dim - d;
  count = left > 8 ? 3 : 2;
  for (std::int64_t i = 0; i < 16; ++i) {
    const float* values = from + i * stride + d;
    __m512i row[kSplitParts];
    if (left < 32) {
      split_lines<kKey>(i < rows ? load_up_to_16(values, left) : zero(), count, row);
    } else {
      split_line(i < rows ? load(values) : zero(), i < rows ? load(values + 16) : zero(), row);
    }
    for (int line = 0; line < count; ++line) lines[line][i] = row[line];
  }
  return left < 32 ? 16 : 32;
}

template <class N>
void tile_pack_keys(const void* k_bytes, std::int64_t stride, std::int64_t keys,
                    std::int64_t head_dim, void* packed) {
  const auto* k = static_cast<const typename N::Element*>(k_bytes);
  auto* out = static_cast<Bf16*>(packed);
  for (std::int64_t k0 = 0; k0 < keys; k0 += kStepKeys) {
    int count = 0;
    for (std::int64_t d = 0; d < head_dim; out += count * 2 * kTileValues) {
      std::int64_t met = 0;
      for (std::int64_t half = 0; half < 2; ++half) {
        const std::int64_t first = k0 + half * kTileLine;
        __m512i lines[3][16];
        met = tile_lines<true>(k + first * stride, stride, keys - first, d, head_dim, lines, count);
        for (int line = 0; line < count; ++line) {
          transpose_units(lines[line]);
          Bf16* to = out + (line * 2 + half) * kTileValues;
          for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + i * 32, lines[line][i]);
        }
      }
      d += met;
    }
  }
}

/// 16 dimensions of two keys, and a one in those of `ones`.
inline void pack_pair(const Bf16* even, const Bf16* odd, __mmask16 present, __mmask16 ones,
                      Bf16* to) {
  const auto row = [&](const Bf16* v) {
    if (v == nullptr) return _mm512_setzero_si512();
    const auto values = _mm256_maskz_loadu_epi16(present, v);
    return _mm512_cvtepu16_epi32(_mm256_mask_set1_epi16(values, ones, 0x3F80));
  };
  _mm512_storeu_si512(to, _mm512_or_si512(row(even), _mm512_slli_epi32(row(odd), 16)));
}
inline void pack_pair(const float* even, const float* odd, __mmask16 present, __mmask16 ones,
                      Bf16* to) {
  const auto row = [&](const float* v) {
    if (v == nullptr) return zero();
    return _mm512_mask_mov_ps(_mm512_maskz_loadu_ps(present, v), ones, set1(1));
  };
  split_pair<kSplitParts>(row(even), row(odd), to, kTileValues);
}

/// A one follows each key's values: the unit sums up the weights as it does their products.
template <class N>
void tile_pack_values(const void* v_bytes, std::int64_t stride, std::int64_t keys,
                      std::int64_t head_dim, void* packed) {
  const auto* v = static_cast<const typename N::Element*>(v_bytes);
  auto* out = static_cast<Bf16*>(packed);
  const TileLayout<N> layout(head_dim);
  const std::int64_t padded = round_up(keys, kStepKeys);
  for (std::int64_t key = 0; key < padded; key += 2) {
    auto* to = out + key / kStepKeys * layout.value_step() + key % kStepKeys * kTileLine;
    for (std::int64_t d = 0; d <= head_dim; d += 16, to += N::kParts * kTileValues) {
      const auto width = static_cast<int>(smaller(16, head_dim - d));
      const auto ones = static_cast<__mmask16>(~first_lanes(width) & first_lanes(width + 1));
      pack_pair(key < keys ? v + key * stride + d : nullptr,
                key + 1 < keys ? v + (key + 1) * stride + d : nullptr, first_lanes(width), ones,
                to);
    }
  }
}

/// Query rows in tiles, [groups][lines][2 times 16 rows][32].
template <class N>
void tile_pack_queries(const AttentionBlock& block, std::int64_t begin, std::int64_t rows,
                       Bf16* out) {
  const auto* q = static_cast<const typename N::Element*>(block.q) + begin * block.q_stride;
  const TileLayout<N> layout(block.head_dim);
  for (std::int64_t r = 0; r < round_up(rows, kGroupRows); r += kTileLine) {
    auto* to = out + r / kGroupRows * layout.key_step() + r % kGroupRows * 32;
    int count = 0;
    for (std::int64_t d = 0; d < block.head_dim;) {
      __m512i lines[3][16];
      d += tile_lines<false>(q + r * block.q_stride, block.q_stride, rows - r, d, block.head_dim,
                             lines, count);
      for (int line = 0; line < count; ++line, to += 2 * kTileValues) {
        for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + i * 32, lines[line][i]);
      }
    }
  }
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
