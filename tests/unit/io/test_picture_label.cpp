#include <catch2/catch.hpp>

#include "core/io/label_font.hpp"
#include "core/io/picture_label.hpp"

using namespace diffuse;

namespace {

std::vector<std::u32string> lines_of(std::string_view text, int columns, int lines) {
  return make_label(text, columns, lines).lines;
}

/// A line as drawn on white, '#' for ink.
std::string drawn(std::u32string_view line, int width, int left = 0, int top = 0) {
  RgbPicture picture{width, kLetterHeight,
                     std::vector<std::uint8_t>(static_cast<std::size_t>(width * 39), 255)};
  draw_letters(line, left, top, 0, picture);
  std::string out;
  for (std::size_t i = 0; i < picture.rgb.size(); i += 3) {
    out += picture.rgb[i] == 0 ? '#' : '.';
    if ((i / 3 + 1) % static_cast<std::size_t>(width) == 0) out += '\n';
  }
  return out;
}

}  // namespace

TEST_CASE("a label is broken between words, and tells what is cut") {
  using Lines = std::vector<std::u32string>;
  CHECK(lines_of("a red circle", 12, 3) == Lines{U"a red circle"});
  CHECK(lines_of("a red circle", 11, 3) == Lines{U"a red", U"circle"});
  CHECK(lines_of("  a \t red\n\ncircle ", 20, 3) == Lines{U"a red circle"});
  CHECK(lines_of("a red circle above", 6, 2) == Lines{U"a red", U"circl…"});
  CHECK(lines_of("a red circle above", 11, 2) == Lines{U"a red", U"circle…"});
  CHECK(lines_of("abcdefghijkl", 5, 3) == Lines{U"abcde", U"fghij", U"kl"});
  CHECK(lines_of("abcdefghijklmnop", 5, 3) == Lines{U"abcde", U"fghij", U"klmn…"});
  CHECK(lines_of("a bcdefghijklm", 6, 3) == Lines{U"a bcde", U"fghijk", U"lm"});
  CHECK(lines_of("abcd efghijklm", 6, 3) == Lines{U"abcd", U"efghij", U"klm"});
  CHECK(lines_of("abc", 1, 2) == Lines{U"a", U"…"});
  CHECK(lines_of("", 9, 3).empty());
  CHECK(lines_of(" \n", 9, 3).empty());
  CHECK(lines_of("abc", 0, 3).empty());
  CHECK(lines_of("abc", 3, 0).empty());
  CHECK(lines_of(std::string(1'000'000, 'x'), 3, 2) == Lines{U"xxx", U"xx…"});
}

TEST_CASE("text is composed; what has no form goes, what the font lacks becomes a frame") {
  const PictureLabel accents = make_label("cafe\xCC\x81 \xC5\x81\xC3\xB3\x64\xC5\xBA", 20, 1);
  CHECK(accents.lines.at(0) == U"caf\u00E9 \u0141\u00F3d\u017A");
  CHECK(accents.missing == 0);
  // Two marks in the order that composes only once they are sorted: ẹ with circumflex.
  CHECK(lines_of("e\xCC\x82\xCC\xA3", 9, 1).at(0) == U"\u1EC7");
  CHECK(make_label("\xCE\xA3\xCF\x84\xCE\xAC \xD0\x9A\xD0\xBE\xD1\x82", 9, 1).missing == 0);
  const PictureLabel foreign =
      make_label("\xE6\x97\xA5\xE6\x9C\xAC a\xE2\x80\x8D\xEF\xB8\x8F", 9, 1);
  CHECK(foreign.lines.at(0) == U"\u65E5\u672C a");
  CHECK(foreign.missing == 2);
  CHECK(make_label("\xFF\xC0\x80", 9, 1).lines.at(0) == U"\uFFFD\uFFFD\uFFFD");
  CHECK(make_label("a\x1B[31mb", 9, 1).lines.at(0) == U"a [31mb");
}

TEST_CASE("letters are drawn as the font has them") {
  CHECK(drawn(U"A\u65E5", 12) ==
        "............\n"
        "............\n"
        "..#...#####.\n"
        ".#.#..#...#.\n"
        "#...#.#...#.\n"
        "#...#.#...#.\n"
        "#...#.#...#.\n"
        "#####.#...#.\n"
        "#...#.#...#.\n"
        "#...#.#...#.\n"
        "#...#.#####.\n"
        "............\n"
        "............\n");
  CHECK(drawn(U"g", 6) ==
        "......\n"
        "......\n"
        "......\n"
        "......\n"
        "......\n"
        ".###..\n"
        "#...#.\n"
        "#...#.\n"
        "#...#.\n"
        ".####.\n"
        "....#.\n"
        "#...#.\n"
        ".###..\n");
  for (char32_t c = U'!'; c <= U'~'; ++c) {
    REQUIRE(find_letter(c) != nullptr);
    CHECK(find_letter(c)->code_point == c);
    CHECK(drawn(std::u32string(1, c), 6).find('#') != std::string::npos);
  }
  CHECK(find_letter(0x65E5) == nullptr);
  CHECK(find_letter(0) == nullptr);
  CHECK(find_letter(0x10FFFF) == nullptr);
}

TEST_CASE("letters outside the picture are cut off") {
  CHECK(drawn(U"A", 3).substr(0, 12) == "...\n...\n..#\n");
  CHECK(drawn(U"A", 3, -3, 0).substr(8, 12) == "...\n#..\n.#.\n");
  CHECK(drawn(U"A", 5, 0, 9).substr(11 * 6) == "..#..\n.#.#.\n");
  CHECK(drawn(U"AAA", 5, 100, 100).find('#') == std::string::npos);
}
