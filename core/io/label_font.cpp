#include "core/io/label_font.hpp"

#include <algorithm>
#include <iterator>

namespace diffuse {
namespace {

constexpr Letter kLetters[] = {
#include "core/io/label_font.inc"
};

// Rows 2 to 10, as high as a capital letter and two rows more.
constexpr Letter kMissing = {0xFFFD, 0b000000'000000'111110'100010'100010'100010'100010,
                             0b100010'100010'100010'111110'000000'000000};

}  // namespace

const Letter* find_letter(char32_t code_point) {
  const Letter* const found = std::lower_bound(
      std::begin(kLetters), std::end(kLetters), code_point,
      [](const Letter& letter, char32_t wanted) { return letter.code_point < wanted; });
  return found != std::end(kLetters) && found->code_point == code_point ? found : nullptr;
}

const Letter& missing_letter() { return kMissing; }

}  // namespace diffuse
