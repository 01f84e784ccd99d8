#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/io/png_writer.hpp"

namespace diffuse {

/// What stands under the name of a picture.
enum class PngStatus {
  missing,     ///< nothing
  whole,       ///< a PNG file: every chunk is there with its right check sum, IEND is the last
  torn,        ///< the beginning of a PNG file, or an empty or zeroed file: nothing to lose
  foreign,     ///< something else, which may be somebody's: other bytes, or bytes after IEND
  not_a_file,  ///< a folder, a pipe, a device
};

/// The result of a walk over the chunks, without decoding pixels.
struct PngCheck {
  PngStatus status = PngStatus::missing;
  std::string problem;  ///< why it is not whole: "ends inside IDAT"
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::vector<PngText> texts;  ///< tEXt and uncompressed iTXt of at most 4 MiB each, as UTF-8
};

/// Walks over the file in pieces of 64 KiB; a chunk length is believed only as far as the file
/// goes. Throws Error(storage) if the file is there and reading fails.
PngCheck check_png(const std::filesystem::path& path);

}  // namespace diffuse
