#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor/op.hpp"
#include "kernels/cpu/isa.hpp"
#include "kernels/cpu/memory.hpp"

namespace diffuse::cpu {

/// A convolution on NHWC pictures; a linear layer is one of a single row of pixels with a 1x1
/// kernel.
struct Convolution {
  std::int64_t batch = 1, height = 1, width = 1, channels = 0;
  std::int64_t out_channels = 0, kernel_height = 1, kernel_width = 1;
  std::int64_t stride = 1, pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  DType dtype = DType::f32;
  DType out_dtype = DType::f32;
  bool bias = false;
  bool accumulate = false;  ///< y += instead of y =
  Activation activation = Activation::none;

  friend auto operator<=>(const Convolution&, const Convolution&) = default;
};

/// A weight of a linear layer or convolution in a layout that oneDNN chose. Where a picture size
/// wants another layout and has no kernel for this one, a second copy is made on first use.
struct ConvolutionWeight final : PreparedWeight {
  struct Copy {
    int layout = 0;
    std::shared_ptr<void> data;
  };
  mutable std::vector<Copy> copies;  ///< at least one
};

/// All use of oneDNN: primitives are created once per shape and kept. One object serves one thread.
class OneDnn {
 public:
  /// Limits oneDNN to `isa` where that is below the machine's best; that choice holds for the whole
  /// process. Throws ConfigError if the process chose another one before.
  explicit OneDnn(Isa isa, bool forced);
  ~OneDnn();

  /// "onednn 2.6.3 avx512_core_bf16".
  [[nodiscard]] static std::string version();

  /// Lays `values`, [O, C, kh, kw] in f32, out for `usual`, whose out_dtype is ignored.
  [[nodiscard]] std::shared_ptr<const PreparedWeight> prepare(const float* values,
                                                              const Convolution& usual);

  /// y = activation(x * W + bias), or y + activation(x * W + bias).
  void run(const Convolution& convolution, const ConvolutionWeight& weight, const void* x,
           const float* bias, void* y, Scratch& scratch);

  /// Name of oneDNN's implementation of every convolution run so far, with its shape: for tests.
  [[nodiscard]] std::vector<std::string> implementations() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace diffuse::cpu
