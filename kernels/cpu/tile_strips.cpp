#include "kernels/cpu/tile_strips.hpp"

#include <algorithm>

#include "kernels/cpu/halves.hpp"
#include "kernels/cpu/kernels.hpp"
#include "kernels/cpu/parallel.hpp"

namespace diffuse::cpu {
namespace {

// Pixels of a strip, each of which meets a weight that comes by; fewer where they have no room.
constexpr std::int64_t kMostPixels = 1024;
constexpr std::int64_t kLeastRows = 128;  // of a linear layer
// Of the second cache (2 MiB where there are tiles) for what a strip sees.
constexpr std::int64_t kStripValues = (std::int64_t{1} << 20) / std::int64_t{sizeof(Bf16)};

}  // namespace

TileStrips::TileStrips(const Convolution& c)
    : shape(c),
      out_width(c.out_width()),
      out_height(c.out_height()),
      flat(c.pointwise()),
      line_rows(out_width % kTileRows == 0 || c.stride > 1 ? out_width
                                                           : out_width + c.kernel_width - 1),
      pixel(c.stride * c.channels),
      line((out_width - 1) * pixel + c.kernel_width * c.channels) {
  if (flat) {
    const std::int64_t fit = kStripValues / c.channels / kTileBlockRows * kTileBlockRows;
    const std::int64_t most = std::clamp(fit, kLeastRows, kMostPixels);
    lines =
        blocks_of(blocks_of(pixels(), blocks_of(pixels(), most)), kTileBlockRows) * kTileBlockRows;
    count = blocks_of(pixels(), lines);
    return;
  }
  const std::int64_t fit = (kStripValues / line - c.kernel_height) / c.stride + 1;
  const std::int64_t most = std::clamp<std::int64_t>(fit, 1, blocks_of(kMostPixels, out_width));
  lines = blocks_of(out_height, blocks_of(out_height, most));
  count = c.batch * blocks_of(out_height, lines);
  if (lines < out_height) return;
  const std::int64_t room = kStripValues / (seen_lines(lines) * line);
  const std::int64_t wanted = std::min(kMostPixels / picture_rows(lines), room);
  pictures = std::clamp<std::int64_t>(wanted, 1, c.batch);
  count = blocks_of(c.batch, pictures);
}

TileStrip TileStrips::at(std::int64_t index) const {
  TileStrip strip;
  if (flat) {
    strip.first = index * lines;
    strip.rows = std::min(lines, pixels() - strip.first);
    return strip;
  }
  const std::int64_t a_picture = blocks_of(out_height, lines);
  strip.picture = index / a_picture * pictures;
  strip.pictures = std::min(pictures, shape.batch - strip.picture);
  strip.line = index % a_picture * lines;
  strip.lines = std::min(lines, out_height - strip.line);
  strip.first = (strip.picture * out_height + strip.line) * out_width;
  strip.rows = strip.pictures * picture_rows(strip.lines);
  return strip;
}

std::int64_t TileStrips::most_rows() const {
  return flat ? std::min(lines, pixels()) : pictures * picture_rows(lines);
}

std::int64_t TileStrips::copy_values() const {
  if (flat) return 0;
  const std::int64_t behind = (kTileRows + shape.kernel_width) * pixel;  // seen by the last rows
  return pictures * seen_lines(lines) * line + behind;
}

std::int64_t TileStrips::seen_lines(std::int64_t lines_of_outputs) const {
  return (lines_of_outputs - 1) * shape.stride + shape.kernel_height;
}

bool TileStrips::even() const { return shape.stride == 1 || out_width % kTileRows == 0; }

std::int64_t TileStrips::picture_rows(std::int64_t lines_of_outputs) const {
  const std::int64_t rows = lines_of_outputs * line_rows;
  return gaps() ? blocks_of(rows, kTileRows) * kTileRows : rows;
}

std::int64_t TileStrips::seen(const TileStrip& strip, std::int64_t row) const {
  const std::int64_t rows = picture_rows(strip.lines);
  const std::int64_t picture = row / rows * seen_lines(strip.lines) * line;
  return picture + row % rows / line_rows * shape.stride * line + row % rows % line_rows * pixel;
}

std::int64_t TileStrips::place(const TileStrip& strip, std::int64_t row) const {
  const std::int64_t rows = picture_rows(strip.lines);
  const std::int64_t across = row % rows % line_rows, down = row % rows / line_rows;
  if (across >= out_width || down >= strip.lines) return -1;
  return (row / rows * strip.lines + down) * out_width + across;
}

}  // namespace diffuse::cpu
