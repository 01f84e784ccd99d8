#pragma once

#include <cstdint>

namespace diffuse {

/// Size of every letter in pixels, the space around it included.
inline constexpr int kLetterWidth = 6;
inline constexpr int kLetterHeight = 13;

/// A letter of the font that labels are drawn with: Latin (with the letters of Vietnamese), Greek
/// and Cyrillic alphabets, punctuation. Source: X11 misc-fixed 6x13, public domain; see
/// scripts/make_label_font.py.
struct Letter {
  char32_t code_point = 0;
  std::uint64_t upper = 0;  ///< rows 0 to 6, 6 bits each, the first row and column highest
  std::uint64_t lower = 0;  ///< rows 7 to 12, likewise

  [[nodiscard]] bool is_set(int x, int y) const {
    const int row = y < kUpperRows ? kUpperRows - 1 - y : kLetterHeight - 1 - y;
    return ((y < kUpperRows ? upper : lower) >> (kLetterWidth * row + kLetterWidth - 1 - x) & 1U) !=
           0;
  }

 private:
  static constexpr int kUpperRows = 7;
};

/// The letter, or null if the font lacks it.
const Letter* find_letter(char32_t code_point);

/// A frame, which stands for what the font lacks.
const Letter& missing_letter();

}  // namespace diffuse
