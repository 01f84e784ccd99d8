// Every code point of Unicode 15.0 through the whole tokenizer, and normal form C, as hashes of the
// ids that transformers gives (scripts/reference/make_tokenizer_goldens.py).
#include <utf8proc.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/text/clip_tokenizer.hpp"
#include "core/text/unicode.hpp"
#include "tests/unit/text/tokenizer_folder.hpp"

using diffuse::ClipTokenizer;
using diffuse::test::tokenizer_data;
using diffuse::test::TokenizerFolder;
namespace unicode = diffuse::unicode;

namespace {

/// FNV-1a over ids, each list preceded by its length.
class Hash {
 public:
  void add(const std::vector<std::int32_t>& ids) {
    mix(ids.size());
    for (const std::int32_t id : ids) mix(static_cast<std::uint64_t>(id));
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  void mix(std::uint64_t number) { value_ = (value_ ^ number) * 0x100000001B3ULL; }
  std::uint64_t value_ = 0xCBF29CE484222325ULL;
};

std::vector<std::pair<char32_t, char32_t>> later_ranges() {
  std::ifstream file(tokenizer_data() / "later_code_points.txt");
  std::vector<std::pair<char32_t, char32_t>> ranges;
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  while (file >> std::hex >> first >> last) ranges.emplace_back(first, last);
  return ranges;
}

bool is_left_out(char32_t c) {
  static const auto later = later_ranges();
  if (c >= 0xD800 && c < 0xE000) return true;
  for (const auto& [first, last] : later) {
    if (c >= first && c <= last) return true;
  }
  return false;
}

void add(Hash& hash, const ClipTokenizer& tokenizer, const std::u32string& text) {
  hash.add(tokenizer.tokenize(unicode::encode_utf8(text)));
}

constexpr char32_t kMarkPartners[] = {0x334, 0x93C, 0x3099, 0x94D, 0x5B0, 0x64B, 0x711,
                                      0xE38, 0xEB8, 0xF71,  0x321, 0x31B, 0x31D, 0x302A,
                                      0x300, 0x327, 0x345,  0x315, 0x35C, 0x35D, 0x1D165};

void add_marks(Hash& hash, const ClipTokenizer& tokenizer, const std::vector<char32_t>& marks) {
  for (const char32_t mark : marks) {
    for (const char32_t partner : kMarkPartners) {
      add(hash, tokenizer, {U'a', mark, partner});
      add(hash, tokenizer, {U'a', partner, mark});
    }
  }
}

void add_pairs(Hash& hash, const ClipTokenizer& tokenizer, const std::vector<char32_t>& points) {
  for (std::size_t i = 0; i + 1 < points.size(); i += 2) {
    const char32_t first = points[i];
    const char32_t second = points[i + 1];
    add(hash, tokenizer, {first, second});
    add(hash, tokenizer, {first, 0x334, second});
    add(hash, tokenizer, {first, 0x301, second});
    add(hash, tokenizer, {first, second, 0x301});
    add(hash, tokenizer, {first, 0x1DFA, second});
  }
}

void add_jamo(Hash& hash, const ClipTokenizer& tokenizer) {
  for (char32_t l = 0; l < 20; ++l) {
    for (char32_t v = 0; v < 22; ++v) {
      for (char32_t t = 0; t < 29; ++t) {
        std::u32string text{0x1100 + l, 0x1161 + v};
        if (t != 0) text.push_back(0x11A7 + t);
        text.push_back(0x11A8);
        add(hash, tokenizer, text);
      }
    }
  }
}

}  // namespace

TEST_CASE("every code point of Unicode 15.0 gives the ids of transformers") {
  const ClipTokenizer tokenizer = ClipTokenizer::load(TokenizerFolder("sd1").path());
  std::ifstream file(tokenizer_data() / "code_points.txt");
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  std::uint64_t want = 0;
  std::uint32_t next = 0;
  while (file >> std::hex >> first >> last >> want) {
    REQUIRE(first == next);
    next = last + 1;
    Hash hash;
    for (char32_t c = first; c <= last; ++c) {
      if (is_left_out(c)) continue;
      add(hash, tokenizer,
          {c, U' ', U'a', c, U'B', U' ', U'a', 0x301, c, 0x327, 0x5B0, U' ', c, 0x301});
    }
    INFO("code points from " << std::hex << first);
    CHECK(hash.value() == want);
  }
  CHECK(next == 0x110000);
}

TEST_CASE("normal form C is that of the tokenizers library: marks, compositions, Hangul") {
  const ClipTokenizer tokenizer = ClipTokenizer::load(TokenizerFolder("sd1").path());
  std::ifstream file(tokenizer_data() / "normalization.txt");
  int lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    std::istringstream fields(line);
    char kind = 0;
    std::uint64_t want = 0;
    fields >> kind >> std::hex >> want;
    std::vector<char32_t> points;
    for (std::uint32_t c = 0; fields >> c;) points.push_back(c);
    Hash hash;
    if (kind == 'M') add_marks(hash, tokenizer, points);
    if (kind == 'P') add_pairs(hash, tokenizer, points);
    if (kind == 'H') add_jamo(hash, tokenizer);
    INFO(line);
    CHECK(hash.value() == want);
  }
  CHECK(lines > 60);
}

TEST_CASE("code points after Unicode 15.0 are neither letters nor numbers and keep their case") {
  // The listed difference from transformers, which knows some of them. A newer utf8proc may know
  // them too.
  if (std::string(utf8proc_unicode_version()) != "15.0.0") return;
  int count = 0;
  for (const auto& [first, last] : later_ranges()) {
    for (char32_t c = first; c <= last; ++c, ++count) {
      CHECK(unicode::classify(c) == unicode::Class::other);
      CHECK(unicode::lower(std::u32string(1, c)) == std::u32string(1, c));
    }
  }
  CHECK(count > 5000);
}

TEST_CASE("UTF-8 goes both ways") {
  CHECK(unicode::decode_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8E\xA8") ==
        U"a\u00E9\u20AC\U0001F3A8");
  CHECK(unicode::encode_utf8(U"a\u00E9\u20AC\U0001F3A8") ==
        "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8E\xA8");
  CHECK(unicode::decode_utf8("\xC0\x80") == U"\uFFFD\uFFFD");  // overlong
  CHECK(unicode::decode_utf8("\xF4\x90\x80\x80") == U"\uFFFD\uFFFD\uFFFD\uFFFD");
  CHECK(unicode::decode_utf8("\xE2\x82") == U"\uFFFD\uFFFD");
}

TEST_CASE("a very long run of marks is ordered in reasonable time") {
  std::u32string text = U"e";
  for (int i = 0; i < 500'000; ++i) text += i % 2 == 0 ? U'\u0301' : U'\u0323';
  const std::u32string out = unicode::nfc(text);
  REQUIRE(out.size() ==
          text.size() - 1);  // the dots below come first, and the first of them composes
  CHECK(out[0] == 0x1EB9);
}
