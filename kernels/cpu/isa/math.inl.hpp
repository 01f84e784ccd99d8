#pragma once

// exp, erf and the activations on vectors. Included once per instruction set, after its vector
// header; everything lives in the namespace of that instruction set.

// Before a loop over an array of vectors: g++ 12 keeps the array in registers only if the loop is
// unrolled early. clang does so by itself.
#ifdef __clang__
#define DIFFUSE_UNROLL
#else
#define DIFFUSE_UNROLL _Pragma("GCC unroll 8")
#endif

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

/// Steps of a product between two looks at anything else: what counts and branches takes turns with
/// the multiply-adds in some processors' units (in Golden Cove's a tenth of the time).
constexpr int kStepsAtOnce = 4;

/// 2^x for x <= 127; 0 far below. Relative error of the polynomial of degree 5: 8e-8 and rounding;
/// of degree 3: 8e-5.
template <int kDegree>
inline Vec exp2_vec(Vec x) {
  static_assert(kDegree == 3 || kDegree == 5);
  const Vec f = fraction(x);
  Vec p;
  if constexpr (kDegree == 5) {
    p = set1(1.877576680e-3F);
    p = fma(p, f, set1(8.989340283e-3F));
    p = fma(p, f, set1(5.582631767e-2F));
    p = fma(p, f, set1(2.401536173e-1F));
    p = fma(p, f, set1(6.931530731e-1F));
    p = fma(p, f, set1(9.999999251e-1F));
  } else {
    p = set1(7.802452307e-2F);
    p = fma(p, f, set1(2.260671678e-1F));
    p = fma(p, f, set1(6.958335289e-1F));
    p = fma(p, f, set1(9.999252205e-1F));
  }
  return scale_by_floor(p, x);
}

/// e^x for |x| <= 87, relative error about 1e-7 (Cephes expf); clamped outside.
inline Vec exp_vec(Vec x) {
  const Vec clamped = min(set1(87.0F), max(set1(-87.0F), x));
  const Vec n = round_even(mul(clamped, set1(1.44269504088896341F)));
  Vec r = fma(n, set1(-0.693359375F), clamped);  // the high part of ln 2 has few bits: exact
  r = fma(n, set1(2.12194440e-4F), r);
  Vec p = set1(1.9875691500e-4F);
  p = fma(p, r, set1(1.3981999507e-3F));
  p = fma(p, r, set1(8.3334519073e-3F));
  p = fma(p, r, set1(4.1665795894e-2F));
  p = fma(p, r, set1(1.6666665459e-1F));
  p = fma(p, r, set1(5.0000001201e-1F));
  p = add(fma(mul(p, r), r, r), set1(1.0F));
  return scale_by_power(p, n);
}

/// x Phi(x) = x/2 + |x|/2 (1 - erfc(|x| / sqrt 2)), where erfc is 2 to a polynomial without a
/// constant (own fit: at most 5e-9 of max(1, |x|) wrong up to 5.7, and below 1e-6 beyond, where it
/// falls on). In f32 at most 9e-8 of max(1, |x|) wrong.
inline Vec gelu_vec(Vec x) {
  const Vec half = mul(x, set1(0.5F));
  const Vec t = min(abs(x), set1(9.0F));
  Vec p = set1(-2.34573258e-6F);
  p = fma(p, t, set1(3.3433731e-5F));
  p = fma(p, t, set1(-1.57408096e-4F));
  p = fma(p, t, set1(-2.08162994e-4F));
  p = fma(p, t, set1(7.15959072e-3F));
  p = fma(p, t, set1(-5.25658131e-2F));
  p = fma(p, t, set1(-4.59183753e-1F));
  p = fma(p, t, set1(-1.15110826F));
  const Vec rest = exp2_vec<5>(mul(p, t));
  return fma(abs(half), sub(set1(1.0F), rest), half);
}

/// x / (1 + exp(-a x)) and gelu, as precise as results of type T show. Where something is added to
/// the result first, T is float.
template <class T>
inline Vec swish_of(Vec x, float a) {
  return div(x, add(set1(1.0F), exp_vec(mul(x, set1(-a)))));
}
template <class T>
inline Vec gelu_of(Vec x) {
  return gelu_vec(x);
}

#ifdef __AVX512BF16__
/// x / (1 + 2^y), relative error below 1.5e-4: less than a tenth of what rounding to bfloat16 adds.
inline Vec logistic_share(Vec x, Vec y) {
  return mul(x, reciprocal(add(set1(1.0F), exp2_vec<3>(min(y, set1(126.0F))))));
}
template <>
inline Vec swish_of<Bf16>(Vec x, float a) {
  return logistic_share(x, mul(x, set1(-1.44269504088896341F * a)));
}
/// x Phi(x) with Phi = 1 / (1 + exp(-x p(x^2))), where x p(x^2) fits log(Phi / (1 - Phi)) for
/// |x| <= 5.5 so that Phi's relative error is at most 2.5e-4 (own fit). In half of gelu_vec's
/// operations.
template <>
inline Vec gelu_of<Bf16>(Vec x) {
  constexpr float kLog2E = 1.44269504088896341F;
  const Vec s = min(mul(x, x), set1(5.5F * 5.5F));
  Vec p = set1(-6.52789729e-10F * kLog2E);
  p = fma(p, s, set1(7.14917188e-8F * kLog2E));
  p = fma(p, s, set1(-2.97616970e-6F * kLog2E));
  p = fma(p, s, set1(4.97515533e-5F * kLog2E));
  p = fma(p, s, set1(4.29721671e-4F * kLog2E));
  p = fma(p, s, set1(-7.36054616e-2F * kLog2E));
  p = fma(p, s, set1(-1.59507710F * kLog2E));
  return logistic_share(x, mul(p, x));
}
#endif

/// Functions, as precise as swish_of and gelu_of.
struct IdentityFn {
  template <class T>
  static Vec apply(Vec x) {
    return x;
  }
};
struct SiluFn {
  template <class T>
  static Vec apply(Vec x) {
    return swish_of<T>(x, 1.0F);
  }
};
struct GeluFn {
  template <class T>
  static Vec apply(Vec x) {
    return gelu_of<T>(x);
  }
};
struct QuickGeluFn {
  template <class T>
  static Vec apply(Vec x) {
    return swish_of<T>(x, 1.702F);
  }
};

/// Calls run.template operator()<Fn>() for the function asked for.
template <class Run>
void with_function(Function function, const Run& run) {
  switch (function) {
    case Function::identity:
      return run(IdentityFn{});
    case Function::silu:
      return run(SiluFn{});
    case Function::gelu:
      return run(GeluFn{});
    case Function::quick_gelu:
      return run(QuickGeluFn{});
  }
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
