#pragma once

#include <immintrin.h>

#include "kernels/cpu/halves.hpp"

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

// Sixteen floats of AVX-512.
using Vec = __m512;
constexpr int kLanes = 16;

// Register blocks: rows of a product; vectors of keys, values, and columns of weights.
constexpr int kRows = 6;
constexpr int kKeyVecs = 4;
constexpr int kValueVecs = 4;
constexpr int kPanelVecs = 4;

inline __mmask16 first_lanes(int n) { return static_cast<__mmask16>((1U << n) - 1U); }

inline Vec zero() { return _mm512_setzero_ps(); }
inline Vec set1(float a) { return _mm512_set1_ps(a); }
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec a) { _mm512_storeu_ps(p, a); }
inline Vec load_n(const float* p, int n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
inline void store_n(float* p, Vec a, int n) { _mm512_mask_storeu_ps(p, first_lanes(n), a); }
/// Past the caches: for whole lines.
inline void stream(float* p, Vec a) { _mm512_stream_ps(p, a); }
inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec round_even(Vec a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vec abs(Vec a) { return _mm512_andnot_ps(set1(-0.0F), a); }
/// a > b ? yes : no, lane by lane.
inline Vec select_greater(Vec a, Vec b, Vec yes, Vec no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), no, yes);
}
inline bool any_greater(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }
/// x * 2^n for integral n in [-126, 127].
inline Vec scale_by_power(Vec x, Vec n) { return _mm512_scalef_ps(x, n); }
/// a - floor(a).
inline Vec fraction(Vec a) {
  return _mm512_reduce_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
/// x * 2^floor(n) for n <= 127; 0 far below.
inline Vec scale_by_floor(Vec x, Vec n) { return _mm512_scalef_ps(x, n); }

inline __m256 lower_half(Vec a) { return _mm512_castps512_ps256(a); }
inline __m256 upper_half(Vec a) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
}
inline float reduce_add(Vec a) {
  const __m256 h = _mm256_add_ps(lower_half(a), upper_half(a));
  __m128 b = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  b = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_shuffle_ps(b, b, 1)));
}
inline float reduce_max(Vec a) {
  const __m256 h = _mm256_max_ps(lower_half(a), upper_half(a));
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  b = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_shuffle_ps(b, b, 1)));
}

/// a[2 i] + a[2 i + 1] in the lower lanes.
inline Vec add_pairs(Vec a) {
  const __m512i even = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 15, 13, 11, 9, 7, 5, 3, 1);
  return add(_mm512_permutexvar_ps(even, a), _mm512_permutexvar_ps(odd, a));
}

/// 1 / a, relative error below 2^-14.
inline Vec reciprocal(Vec a) { return _mm512_rcp14_ps(a); }

inline Vec widen(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
inline Vec load(const Bf16* p) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Vec load(const F16* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

#ifdef __AVX512BF16__
inline __m256i narrow(Vec a) { return (__m256i)_mm512_cvtneps_pbh(a); }

inline void store(Bf16* p, Vec a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(a)); }
inline void stream(Bf16* p, Vec first, Vec second) {
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), (__m512i)_mm512_cvtne2ps_pbh(second, first));
}
inline Vec load_n(const Bf16* p, int n) {
  return widen(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
inline void store_n(Bf16* p, Vec a, int n) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), narrow(a));
}
#endif

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
