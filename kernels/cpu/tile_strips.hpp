#pragma once

#include <cstdint>

#include "kernels/cpu/convolution.hpp"

namespace diffuse::cpu {

/// Output pixels that are worked on together on a tile unit, and the rows that they have in its
/// products.
struct TileStrip {
  std::int64_t first = 0;  ///< pixel, counted over all pictures of the batch
  std::int64_t rows = 0;
  // Of a convolution:
  std::int64_t picture = 0, pictures = 1;
  std::int64_t line = 0, lines = 0;  ///< of outputs, of each picture
};

/// How a batch is cut into strips, and where a convolution's copy of a strip holds what its pixels
/// see: lines of pictures with zeros around them.
struct TileStrips {
  explicit TileStrips(const Convolution& convolution);

  Convolution shape;
  std::int64_t out_width, out_height;
  /// Pixels see one pixel each, which lies evenly in x: there is no copy.
  bool flat;
  /// Rows that a line of outputs has. Where tiles would reach into the next line, also those
  /// between the last pixel of a line and the first of the next, whose outputs nobody needs: so all
  /// rows lie evenly.
  std::int64_t line_rows;
  /// Values of the copy from an output pixel to the next, and from a line of pictures to the next.
  std::int64_t pixel, line;
  std::int64_t count = 0;  ///< of strips
  /// Of most of them: lines of outputs (flat: pixels), pictures.
  std::int64_t lines = 0, pictures = 1;

  [[nodiscard]] TileStrip at(std::int64_t index) const;
  /// The largest number of rows.
  [[nodiscard]] std::int64_t most_rows() const;
  /// Values of the largest copy.
  [[nodiscard]] std::int64_t copy_values() const;
  /// Lines of a picture that some lines of outputs see.
  [[nodiscard]] std::int64_t seen_lines(std::int64_t lines_of_outputs) const;
  /// Do rows 16 i to 16 i + 15 lie evenly in the copy?
  [[nodiscard]] bool even() const;
  /// Are there rows without an output?
  [[nodiscard]] bool gaps() const { return !flat && line_rows != out_width; }
  /// The value of the copy that a row begins with.
  [[nodiscard]] std::int64_t seen(const TileStrip& strip, std::int64_t row) const;
  /// The output of a row, counted from the strip's first; or -1.
  [[nodiscard]] std::int64_t place(const TileStrip& strip, std::int64_t row) const;

 private:
  [[nodiscard]] std::int64_t pixels() const { return shape.batch * out_height * out_width; }
  // Rows of one of a strip's pictures: whole tiles, if gaps are allowed.
  [[nodiscard]] std::int64_t picture_rows(std::int64_t lines_of_outputs) const;
};

}  // namespace diffuse::cpu
