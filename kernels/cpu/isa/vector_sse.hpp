#pragma once

#include <nmmintrin.h>

#include <cstring>

#include "kernels/cpu/halves.hpp"

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

// Four floats of SSE. There is no fused multiply-add: `fma` rounds twice.
using Vec = __m128;
constexpr int kLanes = 4;

// Register blocks: rows of a product; vectors of keys, values, and columns of weights.
constexpr int kRows = 6;
constexpr int kKeyVecs = 2;
constexpr int kValueVecs = 2;
constexpr int kPanelVecs = 2;

inline Vec zero() { return _mm_setzero_ps(); }
inline Vec set1(float a) { return _mm_set1_ps(a); }
inline Vec load(const float* p) { return _mm_loadu_ps(p); }
inline void store(float* p, Vec a) { _mm_storeu_ps(p, a); }
/// Past the caches: for whole lines.
inline void stream(float* p, Vec a) { _mm_stream_ps(p, a); }
inline Vec load_n(const float* p, int n) {
  float tmp[kLanes] = {};
  std::memcpy(tmp, p, static_cast<unsigned>(n) * sizeof(float));
  return load(tmp);
}
inline void store_n(float* p, Vec a, int n) {
  float tmp[kLanes];
  store(tmp, a);
  std::memcpy(p, tmp, static_cast<unsigned>(n) * sizeof(float));
}
inline Vec add(Vec a, Vec b) { return _mm_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm_div_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return add(mul(a, b), c); }
inline Vec max(Vec a, Vec b) { return _mm_max_ps(a, b); }
inline Vec min(Vec a, Vec b) { return _mm_min_ps(a, b); }
inline Vec round_even(Vec a) {
  return _mm_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vec abs(Vec a) { return _mm_andnot_ps(set1(-0.0F), a); }
/// a > b ? yes : no, lane by lane.
inline Vec select_greater(Vec a, Vec b, Vec yes, Vec no) {
  return _mm_blendv_ps(no, yes, _mm_cmpgt_ps(a, b));
}
/// x * 2^n for integral n in [-126, 127].
inline Vec scale_by_power(Vec x, Vec n) {
  const __m128i bits = _mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(n), _mm_set1_epi32(127)), 23);
  return mul(x, _mm_castsi128_ps(bits));
}
inline bool any_greater(Vec a, Vec b) { return _mm_movemask_ps(_mm_cmpgt_ps(a, b)) != 0; }
/// a - floor(a).
inline Vec fraction(Vec a) { return sub(a, _mm_floor_ps(a)); }
/// x * 2^floor(n) for n <= 127; 0 far below.
inline Vec scale_by_floor(Vec x, Vec n) {
  const Vec lowest = set1(-126.0F);
  const Vec scaled = scale_by_power(x, _mm_floor_ps(max(lowest, n)));  // this order keeps NaN
  return select_greater(lowest, n, zero(), scaled);
}

inline __m128i load_halves(const void* p) {
  return _mm_cvtepu16_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
}
inline Vec load(const Bf16* p) { return _mm_castsi128_ps(_mm_slli_epi32(load_halves(p), 16)); }
/// As to_float(F16).
inline Vec load(const F16* p) {
  const __m128i bits = load_halves(p);
  const __m128i magnitude = _mm_slli_epi32(_mm_and_si128(bits, _mm_set1_epi32(0x7FFF)), 13);
  const __m128i sign = _mm_slli_epi32(_mm_and_si128(bits, _mm_set1_epi32(0x8000)), 16);
  return _mm_or_ps(mul(_mm_castsi128_ps(magnitude), set1(0x1p112F)), _mm_castsi128_ps(sign));
}

inline float reduce_add(Vec a) {
  a = add(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_add_ss(a, _mm_shuffle_ps(a, a, 1)));
}
inline float reduce_max(Vec a) {
  a = max(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_max_ss(a, _mm_shuffle_ps(a, a, 1)));
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
