#include "kernels/cpu/convolution.hpp"

#include <algorithm>

namespace diffuse::cpu {

Convolution convolution_of(const Conv2dOp& op) {
  Convolution c;
  c.batch = op.x.shape()[0];
  c.height = op.x.shape()[1];
  c.width = op.x.shape()[2];
  c.channels = op.x.shape()[3];
  c.out_channels = op.weight.shape[0];
  c.kernel_height = op.weight.shape[2];
  c.kernel_width = op.weight.shape[3];
  c.stride = op.stride;
  c.pad_top = op.pad_top;
  c.pad_left = op.pad_left;
  c.pad_bottom = op.pad_bottom;
  c.pad_right = op.pad_right;
  c.dtype = op.x.dtype();
  c.out_dtype = op.y.dtype();
  c.bias = !op.bias.empty();
  c.accumulate = !op.residual.empty();
  return c;
}

std::int64_t seen_pixel(const Convolution& c, std::int64_t pixel, std::int64_t tap) {
  if (c.pointwise()) return pixel;
  const std::int64_t across = c.out_width(), down = c.out_height();
  const std::int64_t h = pixel / across % down * c.stride - c.pad_top + tap / c.kernel_width;
  const std::int64_t w = pixel % across * c.stride - c.pad_left + tap % c.kernel_width;
  if (h < 0 || h >= c.height || w < 0 || w >= c.width) return -1;
  return (pixel / across / down * c.height + h) * c.width + w;
}

std::vector<Strip> strips_of(const Convolution& c) {
  // Enough pixels to reuse the weights in cache, few enough for a tile's output to stay there.
  constexpr std::int64_t kPixels = 512;
  constexpr std::int64_t kMinRows = 4;  // the rows above and below a strip are read twice
  const std::int64_t rows = std::max(kMinRows, kPixels / c.out_width());
  std::vector<Strip> strips;
  for (std::int64_t begin = 0; begin < c.out_height(); begin += rows) {
    const std::int64_t end = std::min(c.out_height(), begin + rows);
    const std::int64_t top = begin * c.stride - c.pad_top;
    const std::int64_t bottom = (end - 1) * c.stride - c.pad_top + c.kernel_height;
    Strip strip{c, std::clamp<std::int64_t>(top, 0, c.height), begin};
    strip.shape.batch = 1;
    strip.shape.pad_top = strip.first_input_row - top;
    const std::int64_t last = std::clamp(bottom, strip.first_input_row, c.height);
    strip.shape.pad_bottom = bottom - last;
    strip.shape.height = last - strip.first_input_row;
    strips.push_back(strip);
  }
  return strips;
}

}  // namespace diffuse::cpu
