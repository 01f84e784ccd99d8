#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/text/byte_pair_encoder.hpp"

using diffuse::BytePairEncoder;
using diffuse::Merges;
using diffuse::Vocabulary;
using Ids = std::vector<std::int32_t>;

namespace {

Ids encode(const Vocabulary& vocabulary, const Merges& merges, const std::string& word) {
  Ids ids;
  BytePairEncoder(vocabulary, merges, 0, "merges.txt").encode(word, ids);
  return ids;
}

const Vocabulary kVocabulary{{"?", 0},       {"a", 1},      {"b", 2},        {"c", 3},
                             {"a</w>", 4},   {"b</w>", 5},  {"c</w>", 6},    {"ab", 7},
                             {"bc", 8},      {"bc</w>", 9}, {"aa", 10},      {"aaaa", 11},
                             {"aa</w>", 12}, {"abc", 13},   {"\xC4\xA0", 14}};

}  // namespace

TEST_CASE("byte-pair encoding joins by rank, then from the left") {
  CHECK(encode(kVocabulary, {}, "abc") == Ids{1, 2, 6});
  CHECK(encode(kVocabulary, {{"a", "b"}, {"b", "c</w>"}}, "abc") == Ids{7, 6});
  CHECK(encode(kVocabulary, {{"b", "c</w>"}, {"a", "b"}}, "abc") == Ids{1, 9});
  CHECK(encode(kVocabulary, {{"a", "a"}}, "aaaaaa") == Ids{10, 10, 1, 4});
  CHECK(encode(kVocabulary, {{"a", "a"}, {"aa", "aa"}}, "aaaaaa") == Ids{11, 1, 4});
  CHECK(encode(kVocabulary, {{"a", "a"}, {"a", "a</w>"}}, "aaa") == Ids{10, 4});
  CHECK(encode(kVocabulary, {}, "") == Ids{});
}

TEST_CASE("letters that the vocabulary lacks are the unknown token") {
  CHECK(encode(kVocabulary, {},
               "ax\xC3"
               "b") == Ids{1, 0, 0, 5});
  CHECK(encode(kVocabulary, {}, " b") == Ids{14, 5});
  CHECK(encode(kVocabulary, {}, "b ") == Ids{2, 0});
}

TEST_CASE("of two equal merges the later counts, as in the tokenizers library") {
  CHECK(encode(kVocabulary, {{"a", "b"}, {"b", "c</w>"}, {"a", "b"}}, "abc") == Ids{1, 9});
}

TEST_CASE("merges must lie in the vocabulary") {
  CHECK_THROWS_AS(encode(kVocabulary, {{"x", "b"}}, "a"), diffuse::InputError);
  CHECK_THROWS_AS(encode(kVocabulary, {{"a", "x"}}, "a"), diffuse::InputError);
  CHECK_THROWS_AS(encode(kVocabulary, {{"a", "c"}}, "a"), diffuse::InputError);
}

TEST_CASE("a word of a million letters is encoded in reasonable time") {
  const std::string word(1'000'000, 'a');
  CHECK(encode(kVocabulary, {{"a", "a"}, {"aa", "aa"}}, word).size() == 250'002);
}

TEST_CASE("token strings turn back into bytes") {
  CHECK(diffuse::byte_letters()[' '] == "\xC4\xA0");
  CHECK(diffuse::byte_letters()['a'] == "a");
  CHECK(diffuse::bytes_of_token("\xC3\x83\xC2\xA9</w>") == "\xC3\xA9</w>");
  CHECK(diffuse::bytes_of_token("new word") == "new word");
}
