#pragma once

// Numbers of f32 as a tile unit can multiply them, which knows bf16 only: a number is the sum of
// three bf16 numbers (24 bits are 3 times 8; the last remainder is exact), one that was f16 of two,
// one that was bf16 of one. Of the products of two such sums those are made that are not below
// 2^-26 of the whole, less than half of what rounding the product to f32 takes: x1 y1, x1 y2,
// x2 y1, x2 y2, x1 y3 and x3 y1, each exact in f32, where they are summed up. Numbers below 2^-126
// are zeros, and an infinite one gives NaN. The idea: Henry, Tang, Heinecke 2019, arXiv:1904.06376.
// Included once per instruction set that has a tile unit.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

constexpr std::int64_t kTileValues = 512;  ///< bf16
/// Of a number that has all bits of f32.
constexpr int kSplitParts = 3;

/// value = parts[0] + .. + parts[kParts - 1], bf16 numbers in the upper halves of the lanes, each
/// the nearest to what is left (halves go away from zero). A NaN stays one.
template <int kParts>
[[gnu::always_inline]] inline void split(Vec value, __m512i (&parts)[kParts]) {
  DIFFUSE_UNROLL
  for (int p = 0; p + 1 < kParts; ++p) {
    const __m512i up = _mm512_add_epi32(_mm512_castps_si512(value), _mm512_set1_epi32(0x8000));
    parts[p] = _mm512_and_si512(up, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U)));
    value = sub(value, _mm512_castsi512_ps(parts[p]));
  }
  parts[kParts - 1] = _mm512_castps_si512(value);
}

/// For permutex2var_epi16: the parts of two vectors, one behind the other.
inline __m512i both_parts() {
  return _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29,
                          27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
}
inline __m512i join(__m512i first, __m512i second) {
  return _mm512_permutex2var_epi16(first, both_parts(), second);
}

/// 32 numbers: a line of each part.
[[gnu::always_inline]] inline void split_line(Vec low, Vec high, __m512i (&lines)[kSplitParts]) {
  __m512i first[kSplitParts], second[kSplitParts];
  split(low, first);
  split(high, second);
  DIFFUSE_UNROLL
  for (int p = 0; p < kSplitParts; ++p) lines[p] = join(first[p], second[p]);
}

/// Pairs of two rows of 16 numbers, in a tile of each part; these are `apart` values from another.
template <int kParts>
inline void split_pair(Vec even, Vec odd, Bf16* to, std::int64_t apart) {
  __m512i first[kParts], second[kParts];
  split(even, first);
  split(odd, second);
  DIFFUSE_UNROLL
  for (int p = 0; p < kParts; ++p) {
    const __m512i lower = _mm512_srli_epi32(first[p], 16);
    _mm512_store_si512(to + p * apart, _mm512_mask_blend_epi16(0xAAAAAAAAU, lower, second[p]));
  }
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
