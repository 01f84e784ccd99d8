#pragma once

#include <cstdint>

namespace diffuse::cpu {

/// A bfloat16 in memory: the upper half of a float.
struct Bf16 {
  std::uint16_t bits;
};

/// An IEEE 754 half in memory.
struct F16 {
  std::uint16_t bits;
};

// `static`, and no std::bit_cast: sources of several instruction sets include this, and a shared
// inline function could be linked in from the wrong one.

static inline float to_float(float value) { return value; }
static inline float to_float(Bf16 value) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(value.bits) << 16);
}

[[maybe_unused]] static inline float to_float(F16 value) {
  // Shifting the exponent into place and multiplying by 2^112 is exact, subnormal halves included.
  const std::uint32_t magnitude = (value.bits & 0x7FFFU) << 13;
  const float size = __builtin_bit_cast(float, magnitude) * 0x1p112F;
  return (value.bits & 0x8000U) != 0 ? -size : size;
}

/// Nearest, ties to even; NaN stays NaN.
[[maybe_unused]] static inline Bf16 to_bf16(float value) {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  const bool nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  return {static_cast<std::uint16_t>(nan ? (bits >> 16) | 0x40U : rounded)};
}

}  // namespace diffuse::cpu
