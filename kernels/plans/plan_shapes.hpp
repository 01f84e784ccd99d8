#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <variant>

#include "core/tensor/op.hpp"

namespace diffuse {

// What a library's kernel is chosen by. A picture's bytes must not depend on its batch, so kernels
// are chosen for a canonical batch, and used for every other.

/// Pictures that kernels are chosen for: both halves of guidance for eight pictures.
inline constexpr std::int64_t kCanonicalBatch = 16;

/// A convolution, cross-correlation of NHWC pictures with [K, kh, kw, C] weights, plus bias [K].
struct ConvolutionShape {
  std::int64_t batch = 0, height = 0, width = 0, channels = 0, out_channels = 0;
  std::int64_t kernel_height = 0, kernel_width = 0, stride = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  DType dtype = DType::f16;
  bool bias = false;  ///< of the same dtype

  [[nodiscard]] ConvolutionShape with_batch(std::int64_t other) const;
  [[nodiscard]] ConvolutionShape canonical() const { return with_batch(kCanonicalBatch); }
  friend auto operator<=>(const ConvolutionShape&, const ConvolutionShape&) = default;
};

/// A product [rows, in] x [out, in]^T; strides in elements.
struct LinearShape {
  std::int64_t rows = 0, in = 0, out = 0, x_stride = 0, y_stride = 0, residual_stride = 0;
  DType dtype = DType::f16, out_dtype = DType::f16;
  bool bias = false, residual = false;
  std::int64_t alignment = 16;    ///< bytes that divide every address and row, 16 at most
  std::int64_t picture_rows = 1;  ///< rows that belong to one picture

  [[nodiscard]] LinearShape canonical() const;
  friend auto operator<=>(const LinearShape&, const LinearShape&) = default;
};

/// Attention; strides of rows in elements.
struct AttentionShape {
  std::int64_t batch = 0, heads = 0, head_dim = 0, queries = 0, keys = 0;
  std::int64_t q_stride = 0, k_stride = 0, v_stride = 0, y_stride = 0;
  DType dtype = DType::f16;
  bool causal = false;

  [[nodiscard]] AttentionShape with_batch(std::int64_t other) const;
  [[nodiscard]] AttentionShape canonical() const { return with_batch(kCanonicalBatch); }
  friend auto operator<=>(const AttentionShape&, const AttentionShape&) = default;
};

/// The shapes of an op. Operands that are recorded and not placed yet count as aligned.
/// A convolution with a residual has none of its own bias: both are added in one later pass.
ConvolutionShape shape_of(const Conv2dOp& op);
/// With an activation the residual is added in a later pass.
LinearShape shape_of(const LinearOp& op);
AttentionShape shape_of(const AttentionOp& op);

using PlanShape = std::variant<ConvolutionShape, LinearShape, AttentionShape>;
/// The canonical shape of an op that libraries may run; nothing for the others.
std::optional<PlanShape> canonical_shape_of(const Op& op);

}  // namespace diffuse
