#include <catch2/catch.hpp>

#include "core/base/text.hpp"

using diffuse::counted;
using diffuse::printable;

TEST_CASE("printable keeps text and escapes what could harm a terminal or a log") {
  CHECK(printable("a cat, caf\xC3\xA9") == "a cat, caf\xC3\xA9");
  CHECK(printable("a\nb\x1b[31m") == "a\\u{A}b\\u{1B}[31m");
  CHECK(printable("\xff\xC3") == "\\xFF\\xC3");
  CHECK(printable("\xE2\x80\xAE") == "\\u{202E}");
  CHECK(printable(std::string(300, 'x'), 10) == "xxxxxxxxxx...");
}

TEST_CASE("numbers and their nouns agree") {
  CHECK(counted(0, "record") == "0 records");
  CHECK(counted(1, "record") == "1 record");
  CHECK(counted(2, "damaged line") == "2 damaged lines");
}
