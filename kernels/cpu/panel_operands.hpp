#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor/op.hpp"
#include "kernels/cpu/convolution.hpp"
#include "kernels/cpu/function.hpp"
#include "kernels/cpu/kernels.hpp"

namespace diffuse::cpu {

/// What a linear layer or a convolution on panels reads and writes besides its weights.
struct PanelOperands {
  const Tensor& x;
  const Tensor& bias;
  const Tensor& residual;
  const Tensor& y;
  bool gated = false;  ///< LinearOp's geglu
};

inline std::byte* row_of(const Tensor& t, std::int64_t row, std::int64_t element) {
  return t.data<std::byte>() +
         (row * t.row_stride() + element) * static_cast<std::int64_t>(size_of(t.dtype()));
}

/// Is y written past the caches? Where it is so large that none of them keeps enough of it until it
/// is read, and in whole lines.
inline bool goes_far(const Tensor& y, const Convolution& shape, const PanelKernels& kernels) {
  constexpr std::size_t kFarBytes = std::size_t{32} << 20;
  constexpr std::int64_t kLine = 64;
  const auto each = static_cast<std::int64_t>(size_of(y.dtype()));
  const bool lines = reinterpret_cast<std::uintptr_t>(y.data<std::byte>()) % kLine == 0 &&
                     y.row_stride() * each % kLine == 0 && kernels.columns * each % kLine == 0;
  return y.bytes() >= kFarBytes && lines && shape.out_channels % kernels.columns == 0;
}

/// Outputs from pixel `first` and channel `column` on.
inline PanelOutput output_at(const PanelOperands& operands, Activation activation,
                             std::int64_t first, std::int64_t column, bool past_caches) {
  const Tensor& residual = operands.residual;
  const Tensor& y = operands.y;
  PanelOutput output{};
  output.bias = operands.bias.empty() ? nullptr : operands.bias.data<float>() + column;
  output.function = function_of(activation);
  if (!residual.empty()) {
    output.residual_stride = residual.row_stride();
    output.residual = row_of(residual, first, column);
  }
  output.y_stride = y.row_stride();
  output.y = row_of(y, first, column);
  output.f32 = y.dtype() == DType::f32;
  output.past_caches = past_caches;
  return output;
}

}  // namespace diffuse::cpu
