// Hostile text on its way out: messages, the gallery's tables, labels of the contact sheet. The
// first two bytes are the columns and lines of a label.
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "core/io/gallery.hpp"
#include "core/io/picture_label.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace diffuse;
using namespace diffuse::fuzz;

namespace {

void check_message(std::string_view text) {
  const std::string shown = printable(text, 100);
  must(is_utf8(shown) && shown.size() <= 120, "a message is short UTF-8");
  for (const char c : shown) {
    must(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F, "a message is one line");
  }
}

void check_table(std::string_view text) {
  const std::string table = script_json(text);
  must(table.find_first_of("<>&") == std::string::npos, "nothing in a table is markup");
  must(table.find("\xE2\x80\xA8") == std::string::npos &&
           table.find("\xE2\x80\xA9") == std::string::npos,
       "no line ends but JSON's own");
  const auto read = nlohmann::json::parse(table);
  must(read.is_string() && (!is_utf8(text) || read.get<std::string>() == text),
       "a table gives the text back");
}

void check_label(std::string_view text, int columns, int lines) {
  const PictureLabel label = make_label(text, columns, lines);
  must(label.lines.size() <= static_cast<std::size_t>(lines), "no more lines than asked for");
  std::size_t letters = 0;
  RgbPicture picture{20, 20, std::vector<std::uint8_t>(1200, 255)};
  for (const std::u32string& line : label.lines) {
    must(!line.empty() && line.size() <= static_cast<std::size_t>(columns), "a line has its room");
    letters += line.size();
    draw_letters(line, columns - 40, lines - 20, 0, picture);
  }
  must(label.missing <= letters, "frames are letters");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  check_message(text);
  check_table(text);
  check_label(text, data[0] % 64, data[1] % 8);
  return 0;
}
