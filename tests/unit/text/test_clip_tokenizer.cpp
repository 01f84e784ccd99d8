// CLIP tokenizer against what transformers makes of the same folders and texts
// (scripts/reference/make_tokenizer_goldens.py).
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "core/text/clip_tokenizer.hpp"
#include "tests/unit/text/tokenizer_folder.hpp"

using diffuse::ClipTokenizer;
using diffuse::Tokens;
using diffuse::test::TokenizerFolder;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;

namespace {

const json& golden() {
  static const json value =
      diffuse::test::read_json(diffuse::test::tokenizer_data() / "golden.json");
  return value;
}

/// Golden ids of line `index` in folder `name`; only those that differ from "bare" are stored.
Ids golden_ids(const std::string& name, std::size_t index) {
  const json& base = golden()["ids"]["bare"][index];
  if (name == "bare") return base.get<Ids>();
  return golden()["ids"][name].value(std::to_string(index), base).get<Ids>();
}

}  // namespace

TEST_CASE("every folder style gives the ids of transformers") {
  const auto name = GENERATE(as<std::string>{}, "bare", "sd1", "sd2", "decoder", "decoder_added",
                             "legacy_added", "saved/sd1", "saved/decoder_added", "saved/sparse");
  INFO(name);
  const TokenizerFolder folder(name);
  const ClipTokenizer tokenizer = ClipTokenizer::load(folder.path());
  REQUIRE(tokenizer.model_max_length() == golden()["max_length"][name].get<int>());
  REQUIRE(tokenizer.pad_token_id() == golden()["pad"][name].get<int>());

  const auto length = static_cast<std::size_t>(tokenizer.model_max_length());
  const auto lines = golden()["lines"].get<std::vector<std::string>>();
  REQUIRE(lines.size() > 200);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    INFO("line " << i << ": " << lines[i]);
    const Ids words = golden_ids(name, i);
    CHECK(tokenizer.tokenize(lines[i]) == words);

    const Tokens tokens = tokenizer.encode(lines[i]);
    Ids want{tokenizer.bos_token_id()};
    const std::size_t kept = std::min(words.size(), length - 2);
    want.insert(want.end(), words.begin(), words.begin() + static_cast<std::ptrdiff_t>(kept));
    want.push_back(tokenizer.eos_token_id());
    CHECK(static_cast<std::size_t>(tokens.used) == want.size());
    want.resize(length, tokenizer.pad_token_id());
    CHECK(tokens.ids == want);
    CHECK(tokens.truncated == (words.size() > length - 2));
    CHECK(tokens.cut_text == golden()["cut"][name].value(std::to_string(i), ""));
  }
}

TEST_CASE("both layouts know how many embeddings they need") {
  CHECK(ClipTokenizer::load(TokenizerFolder("sd1").path()).vocab_size() == 914);
  CHECK(ClipTokenizer::load(TokenizerFolder("saved/sd1").path()).vocab_size() == 914);
  CHECK(ClipTokenizer::load(TokenizerFolder("decoder_added").path()).vocab_size() == 917);
  CHECK(ClipTokenizer::load(TokenizerFolder("saved/decoder_added").path()).vocab_size() == 917);
}

TEST_CASE("a prompt may be exactly as long as there is room") {
  const ClipTokenizer tokenizer = ClipTokenizer::load(TokenizerFolder("sd1").path());
  std::string text;
  for (int i = 0; i < 75; ++i) text += "1 ";
  const Tokens full = tokenizer.encode(text);
  CHECK_FALSE(full.truncated);
  CHECK(full.used == 77);
  CHECK(full.cut_text.empty());
  const Tokens over = tokenizer.encode(text + "Two");
  CHECK(over.truncated);
  CHECK(over.ids == full.ids);
  CHECK(over.cut_text == "two");
}

TEST_CASE("invalid UTF-8 counts as U+FFFD, byte by byte") {
  const ClipTokenizer tokenizer = ClipTokenizer::load(TokenizerFolder("sd1").path());
  const Ids one = tokenizer.tokenize("a\xEF\xBF\xBD z");
  CHECK(tokenizer.tokenize("a\xFF z") == one);
  CHECK(tokenizer.tokenize("a\x80 z") == one);
  CHECK(tokenizer.tokenize("a\xC3 z") == one);
  const Ids three = tokenizer.tokenize("a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD z");
  CHECK(tokenizer.tokenize("a\xED\xA0\x80 z") == three);  // a surrogate
  CHECK(tokenizer.tokenize(std::string("a\0z", 3)).size() == 3);
}

TEST_CASE("one tokenizer serves many threads") {
  const ClipTokenizer tokenizer = ClipTokenizer::load(TokenizerFolder("sd2").path());
  const auto lines = golden()["lines"].get<std::vector<std::string>>();
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < lines.size(); ++i) {
        if (tokenizer.tokenize(lines[i]) != golden_ids("sd2", i)) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}
