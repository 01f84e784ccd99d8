#pragma once

#include <stdexcept>
#include <string>

#include "core/base/dtype.hpp"

namespace diffuse::test {

/// |got - want| <= of_largest * max |want| + of_value * |want|.
struct Tolerance {
  double of_largest;
  double of_value;
};

/// One unit in the last place of the output's dtype, relative to a value.
constexpr double kUlpF32 = 1.2e-7;
constexpr double kUlpBf16 = 1.0 / 128;

/// The table. Raising a number needs a reason in words.
///
/// bf16 rows: sums are f32 and inputs are given rounded, so that only the last rounding shows (half
/// a unit), and where the f32 result lies at a tie the other neighbour is right too: one unit.
inline Tolerance tolerance_of(const std::string& op, DType dtype) {
  const bool bf16 = dtype == DType::bf16;
  const double unit = bf16 ? kUlpBf16 : kUlpF32;
  // Sums of up to 11520 products in f32, one after another where oneDNN has no wide kernel.
  if (op == "linear" || op == "conv2d") return {4e-6, bf16 ? unit : 0.0};
  // Statistics over thousands of values; the result is a rounded difference.
  if (op == "group_norm" || op == "layer_norm") return {1e-6, 4 * unit};
  // f32: a score of 60 carries 4e-6 of rounding into its exponent. bf16: probabilities are rounded
  // to bf16 for their products (half a unit of the weight), as every bf16 flash attention does.
  if (op == "attention") return bf16 ? Tolerance{4e-3, unit} : Tolerance{3e-6, 2 * unit};
  // exp and erf within 2 units, then two more roundings.
  if (op == "geglu" || op == "activation") return {2e-7, 4 * unit};
  // The layer's products, rounded in between where they are two ops, and GEGLU's own.
  if (op == "linear_geglu") return {bf16 ? unit : 4e-6, 4 * unit};
  if (op == "embedding" || op == "scale_input") return {0, unit};
  // Guided output and rows in f32 or better; a rescaled deviation sums thousands of terms.
  if (op == "scheduler_step") return {5e-7, 2 * kUlpF32};
  // Exact.
  if (op == "upsample_nearest" || op == "concat_channels" || op == "select_row") return {0, 0};
  if (op == "copy") return {0, unit};
  if (op == "pixels") return {0, 0};
  throw std::logic_error("no tolerance for " + op);
}

}  // namespace diffuse::test
