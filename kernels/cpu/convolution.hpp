#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "core/tensor/op.hpp"

namespace diffuse::cpu {

/// A convolution on NHWC pictures; a linear layer is one on pictures one pixel wide with a 1x1
/// kernel.
struct Convolution {
  std::int64_t batch = 1, height = 1, width = 1, channels = 0;
  std::int64_t out_channels = 0, kernel_height = 1, kernel_width = 1;
  std::int64_t stride = 1, pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  DType dtype = DType::f32;
  DType out_dtype = DType::f32;
  bool bias = false;
  bool accumulate = false;  ///< adds a residual of the output's shape
  Activation activation = Activation::none;

  [[nodiscard]] std::int64_t out_height() const {
    return (height + pad_top + pad_bottom - kernel_height) / stride + 1;
  }
  [[nodiscard]] std::int64_t out_width() const {
    return (width + pad_left + pad_right - kernel_width) / stride + 1;
  }
  /// Does every output pixel see one pixel, which lies where it does?
  [[nodiscard]] bool pointwise() const {
    return kernel_height * kernel_width * stride == 1 &&
           pad_top + pad_left + pad_bottom + pad_right == 0;
  }
  friend auto operator<=>(const Convolution&, const Convolution&) = default;
};

Convolution convolution_of(const Conv2dOp& op);

/// The input pixel that a pixel of the kernel, `tap`, sees for an output pixel, both counted over
/// all pictures; -1 outside of the picture.
std::int64_t seen_pixel(const Convolution& convolution, std::int64_t pixel, std::int64_t tap);

// How one picture is cut into tiles for oneDNN and for threads: by its shape alone, because
// oneDNN's order of summation follows the size of what it is given (seen in 2.6.3: with the batch,
// and with the number of threads).

/// Some rows of one picture as a convolution of its own: the rows it reads, the padding it meets.
struct Strip {
  Convolution shape;  ///< batch 1
  std::int64_t first_input_row = 0;
  std::int64_t first_output_row = 0;
};
std::vector<Strip> strips_of(const Convolution& convolution);

}  // namespace diffuse::cpu
