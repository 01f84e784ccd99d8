#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/rgb_picture.hpp"

namespace diffuse {

/// The lines of a label, as letters of the label font.
struct PictureLabel {
  std::vector<std::u32string> lines;
  std::size_t missing = 0;  ///< letters shown as frames, because the font lacks them
};

/// `text` (UTF-8; an invalid byte counts as U+FFFD) broken into at most `lines` lines of at most
/// `columns` letters: between words where there is room, inside a word that is longer than a line;
/// the last line ends in "…" where text is left over. Text is composed (NFC), characters without
/// any form (joiners, variation selectors) are dropped, all white space and control characters
/// count as one space. Letters stand in the order of the text: right-to-left scripts are frames
/// anyway.
PictureLabel make_label(std::string_view text, int columns, int lines);

/// Draws a line of letters in `grey` with its upper left corner at (left, top) of `picture`; what
/// lies outside is cut off.
void draw_letters(std::u32string_view line, std::int64_t left, std::int64_t top, std::uint8_t grey,
                  RgbPicture& picture);

}  // namespace diffuse
