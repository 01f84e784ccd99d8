#pragma once

// Queries, keys and values of one head as a tile unit multiplies them (isa/tiles.hpp). A tile is
// 16 rows of 64 bytes without gaps, so that tiles fill the caches evenly. Included once per
// instruction set that has such a unit.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

constexpr std::int64_t kTileValues = 512;  ///< bf16
constexpr std::int64_t kTileSums = 256;    ///< f32
constexpr std::int64_t kTileLine = 16;     ///< rows of a tile, sums of a row, pairs of a row
constexpr std::int64_t kStepKeys = 32;     ///< keys that a product of weights with values meets
constexpr std::int64_t kGroupRows = 32;    ///< query rows that meet keys together

/// Sizes of one head, in tiles; zeros where there is no dimension.
struct TileLayout {
  std::int64_t depth;    ///< of a product of queries with keys: head_dim in 32s
  std::int64_t columns;  ///< of a product of weights with values: head_dim and a one, in 16s
  explicit TileLayout(std::int64_t head_dim)
      : depth((head_dim + 31) / 32), columns(head_dim / 16 + 1) {}
  /// Elements of kStepKeys packed keys, [depth][2 times 16 keys][pairs of dimensions][16 keys][2].
  [[nodiscard]] std::int64_t key_step() const { return depth * 2 * kTileValues; }
  /// Elements of kStepKeys packed values, [columns][pairs of keys][16 dimensions][2].
  [[nodiscard]] std::int64_t value_step() const { return columns * kTileValues; }
};

inline std::int64_t tile_packed_bytes(std::int64_t keys, std::int64_t head_dim) {
  const TileLayout layout(head_dim);
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

inline void tile_pack_keys(const void* k_bytes, std::int64_t stride, std::int64_t keys,
                           std::int64_t head_dim, void* packed) {
  const auto* k = static_cast<const Bf16*>(k_bytes);
  auto* out = static_cast<Bf16*>(packed);
  const TileLayout layout(head_dim);
  for (std::int64_t k0 = 0; k0 < keys; k0 += kStepKeys) {
    for (std::int64_t d = 0; d < head_dim; d += 32) {
      for (std::int64_t half = 0; half < 2; ++half, out += kTileValues) {
        const std::int64_t first = k0 + half * kTileLine;
        __m512i units[16];
        for (int i = 0; i < 16; ++i) {
          units[i] = first + i < keys ? load_up_to_32(k + (first + i) * stride + d, head_dim - d)
                                      : _mm512_setzero_si512();
        }
        transpose_units(units);
        for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + i * 32, units[i]);
      }
    }
  }
}

/// A one follows each key's values: the unit sums up the weights as it does their products.
inline void tile_pack_values(const void* v_bytes, std::int64_t stride, std::int64_t keys,
                             std::int64_t head_dim, void* packed) {
  const auto* v = static_cast<const Bf16*>(v_bytes);
  auto* out = static_cast<Bf16*>(packed);
  const TileLayout layout(head_dim);
  const std::int64_t padded = round_up(keys, kStepKeys);
  for (std::int64_t key = 0; key < padded; key += 2) {
    auto* to = out + key / kStepKeys * layout.value_step() + key % kStepKeys * kTileLine;
    for (std::int64_t d = 0; d <= head_dim; d += 16, to += kTileValues) {
      const auto width = static_cast<int>(smaller(16, head_dim - d));
      const auto ones = static_cast<__mmask16>(~first_lanes(width) & first_lanes(width + 1));
      const auto row = [&](std::int64_t i) {
        if (i >= keys) return _mm512_setzero_si512();
        const auto values = _mm256_maskz_loadu_epi16(first_lanes(width), v + i * stride + d);
        return _mm512_cvtepu16_epi32(_mm256_mask_set1_epi16(values, ones, 0x3F80));
      };
      const __m512i pair = _mm512_or_si512(row(key), _mm512_slli_epi32(row(key + 1), 16));
      _mm512_storeu_si512(to, pair);
    }
  }
}

/// Query rows in tiles, [groups][depth][2 times 16 rows][32 dimensions].
inline void tile_pack_queries(const AttentionBlock& block, std::int64_t begin, std::int64_t rows,
                              Bf16* out) {
  const TileLayout layout(block.head_dim);
  for (std::int64_t r = 0; r < round_up(rows, kGroupRows); ++r) {
    const auto* from = static_cast<const Bf16*>(block.q) + (begin + r) * block.q_stride;
    auto* to = out + r / kGroupRows * layout.key_step() + r % kGroupRows * 32;
    for (std::int64_t d = 0; d < block.head_dim; d += 32, to += 2 * kTileValues) {
      _mm512_storeu_si512(
          to, r < rows ? load_up_to_32(from + d, block.head_dim - d) : _mm512_setzero_si512());
    }
  }
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
