#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "core/io/rgb_picture.hpp"

namespace diffuse {

/// The pixels of a PNG file; transparent ones on white. Nothing if it is not a whole PNG file or
/// has more than 64 million pixels. Throws Error(storage) if reading fails.
std::optional<RgbPicture> read_png(const std::filesystem::path& path);

/// `picture` made small enough for a square of `edge` pixels, its proportions kept: each pixel is
/// the mean of the box it stands for. A picture that fits already is returned as it is.
RgbPicture thumbnail(const RgbPicture& picture, int edge);

struct ContactSheetSettings {
  int edge = 256;   ///< pixels of a cell; less where the sheet would grow over 64 million pixels
  int columns = 0;  ///< 0: as many as rows, or one more
  bool labels = false;  ///< name and prompt, as the file carries it, under each picture
};

struct ContactSheetResult {
  int width = 0;
  int height = 0;
  std::size_t unreadable = 0;     ///< pictures shown as a grey cell
  std::size_t left_out = 0;       ///< at the end of the list, beyond what one sheet can show
  std::size_t framed_labels = 0;  ///< with frames for letters that the font lacks
};

/// One PNG file with small copies of the pictures in a grid, row by row, on white, 4 pixels apart.
/// A label has three lines in cells of 96 pixels or more, one in cells of 40 or more, else none.
/// Throws ConfigError if there are no pictures or the settings are out of range, Error(storage) if
/// the sheet cannot be written.
ContactSheetResult write_contact_sheet(std::span<const std::filesystem::path> pictures,
                                       const std::filesystem::path& sheet,
                                       const ContactSheetSettings& settings = {});

}  // namespace diffuse
