// Tokenizer folders that are broken, hostile or not supported: one clear refusal, never a crash.
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/text/clip_tokenizer.hpp"
#include "tests/unit/text/tokenizer_folder.hpp"

using diffuse::ClipTokenizer;
using diffuse::ExitCode;
using diffuse::InputError;
using diffuse::test::TokenizerFolder;
using nlohmann::json;

namespace {

/// The message with which loading is refused; "" if it is not refused, or not as a model's fault.
std::string refusal(const TokenizerFolder& folder) {
  try {
    ClipTokenizer::load(folder.path());
  } catch (const InputError& error) {
    return error.code() == ExitCode::bad_model ? error.what() : "";
  }
  return "";
}

struct Case {
  const char* what;
  std::string file;
  std::string content;
  const char* reason;  ///< part of the message
};

void check_refused(const char* config, const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    INFO(one.what);
    const TokenizerFolder folder(config);
    folder.write(one.file, one.content);
    const std::string message = refusal(folder);
    CHECK_THAT(message, Catch::Contains(one.reason));
    CHECK_THAT(message, Catch::Contains(one.file));
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.size() < 1000);
  }
}

json changed(const char* file, const std::function<void(json&)>& change) {
  json value = diffuse::test::read_json(diffuse::test::tokenizer_data() / file);
  change(value);
  return value;
}

std::string changed_vocabulary(const std::function<void(json&)>& change) {
  return changed("vocabulary/vocab.json", change).dump();
}

std::string changed_tokenizer(const std::function<void(json&)>& change) {
  return changed("saved/sd1/tokenizer.json", change).dump();
}

std::string changed_config(const char* key, const json& value) {
  return changed("configs/sd1/tokenizer_config.json", [&](json& config) { config[key] = value; })
      .dump();
}

std::string nested(int depth) {
  const auto size = static_cast<std::size_t>(depth);
  return "{\"x\":" + std::string(size, '[') + std::string(size, ']') + "}";
}

}  // namespace

TEST_CASE("a broken vocab.json is refused") {
  check_refused(
      "sd1",
      {
          {"empty file", "vocab.json", "", "no valid JSON"},
          {"cut off", "vocab.json", R"({"a":0,"b")", "no valid JSON"},
          {"no object", "vocab.json", "[1,2]", "no vocabulary object"},
          {"no entries", "vocab.json", "{}", "empty vocabulary"},
          {"text for an id", "vocab.json", R"({"a":"0"})", "'a' the id"},
          {"negative id", "vocab.json", changed_vocabulary([](json& v) { v["a"] = -1; }),
           "the id -1"},
          {"fraction", "vocab.json", changed_vocabulary([](json& v) { v["a"] = 1.5; }),
           "the id 1.5"},
          {"huge id", "vocab.json", changed_vocabulary([](json& v) { v["a"] = 1LL << 40; }),
           "the id 1099511627776"},
          {"unsigned id", "vocab.json", R"({"a":18446744073709551615})",
           "the id 18446744073709551615"},
          {"number overflow", "vocab.json", R"({"a":1e999})", "no valid JSON"},
          {"id twice", "vocab.json", changed_vocabulary([](json& v) { v["a"] = v["b"]; }),
           "another token has"},
          {"key twice", "vocab.json", R"({"a":0,"b":1,"a":2})", "its value is ambiguous"},
          {"invalid UTF-8", "vocab.json", "{\"\xFF\":0}", "no valid JSON"},
          {"lone surrogate", "vocab.json", R"({"\ud800":0})", "no valid JSON"},
          {"deep", "vocab.json", nested(65), "deeper than 64"},
          {"very deep", "vocab.json", nested(3'000'000), "deeper than 64"},
          {"too many values", "vocab.json",
           R"({"a":[)" +
               [] {
                 std::string s;
                 for (int i = 0; i < 4'000'001; ++i) s += "0,";
                 return s;
               }() +
               "0]}",
           "holds more than 4000000 values"},
          {"too long", "vocab.json", std::string((std::size_t{64} << 20) + 1, ' '),
           "more than the 67108864 that such a file may have"},
          {"binary", "vocab.json", std::string("\x89PNG\r\n\x1a\n\0\0", 10), "holds a NUL byte"},
      });
}

TEST_CASE("a broken merges.txt is refused") {
  check_refused("sd1", {
                           {"one part", "merges.txt", "#version: 0.2\na b\nab\n", "merge 2 ('ab')"},
                           {"three parts", "merges.txt", "a b c\n", "merge 1"},
                           {"blank line inside", "merges.txt", "a b\n\nc d\n", "merge 2"},
                           {"unknown part", "merges.txt", "#version: 0.2\nqqqq b\n", "'qqqq'"},
                           {"unknown whole", "merges.txt", "q q\n", "vocabulary does not hold"},
                           {"binary", "merges.txt", std::string("\0\xFF\xFE", 3), "merge 1"},
                       });
}

TEST_CASE("a broken tokenizer.json is refused") {
  const auto model = [](const char* key, const json& value) {
    return changed_tokenizer([&](json& t) { t["model"][key] = value; });
  };
  const auto added = [](const json& value) {
    return changed_tokenizer([&](json& t) { t["added_tokens"] = value; });
  };
  const json token{{"content", "<x>"}, {"id", 914}};
  check_refused(
      "saved/sd1",
      {
          {"no object", "tokenizer.json", "3", "no object 'model'"},
          {"no model", "tokenizer.json", "{}", "no object 'model'"},
          {"other model type", "tokenizer.json", model("type", "Unigram"), "\"Unigram\""},
          {"other suffix", "tokenizer.json", model("end_of_word_suffix", ""), "end_of_word_suffix"},
          {"list for a vocabulary", "tokenizer.json", model("vocab", json::array({"a"})),
           "no vocabulary object"},
          {"no merges", "tokenizer.json", model("merges", nullptr), "no list 'merges'"},
          {"merge of three", "tokenizer.json", model("merges", {{"a", "b", "c"}}), "merge 1"},
          {"merge of numbers", "tokenizer.json", model("merges", {{1, 2}}), "merge 1"},
          {"no added tokens", "tokenizer.json", added(nullptr), "no list 'added_tokens'"},
          {"added without id", "tokenizer.json", added({{{"content", "<x>"}}}), "without an id"},
          {"added with wrong id", "tokenizer.json", added({{{"content", "a"}, {"id", 5}}}),
           "the token 'a' the id 5"},
          {"added beyond", "tokenizer.json", added({{{"content", "<x>"}, {"id", 2'000'000'000}}}),
           "the id 2000000000"},
          {"empty content", "tokenizer.json", added({{{"content", ""}, {"id", 1}}}),
           "empty or longer"},
          {"content of a megabyte", "tokenizer.json",
           added({{{"content", std::string(1 << 20, 'x')}, {"id", 1}}}), "empty or longer"},
          {"single word", "tokenizer.json",
           added({{{"content", "<x>"}, {"id", 914}, {"single_word", true}}}), "single_word"},
          {"flag of text", "tokenizer.json",
           added({{{"content", "<x>"}, {"id", 914}, {"normalized", "yes"}}}), "'normalized'"},
          {"padding left", "tokenizer.json", changed_tokenizer([](json& t) {
             t["padding"] = {{"direction", "Left"}};
           }),
           "padding on the left"},
          {"truncation left", "tokenizer.json", changed_tokenizer([](json& t) {
             t["truncation"] = {{"direction", "Left"}};
           }),
           "truncation on the left"},
      });
}

TEST_CASE("broken or unsupported configurations are refused") {
  const char* config = "tokenizer_config.json";
  check_refused(
      "sd1",
      {
          {"no JSON", config, "{", "no valid JSON"},
          {"no object", config, "[]", "where an object of keys is expected"},
          {"too long", config, std::string((std::size_t{16} << 20) + 1, ' '),
           "more than the 16777216 that such a file may have"},
          {"max length 1", config, changed_config("model_max_length", 1), "model_max_length"},
          {"max length text", config, changed_config("model_max_length", "77"), "model_max_length"},
          {"max length fraction", config, changed_config("model_max_length", 77.5),
           "model_max_length"},
          {"max length huge", config, changed_config("model_max_length", 1'000'000),
           "model_max_length"},
          {"padding left", config, changed_config("padding_side", "left"), "padding_side"},
          {"truncation left", config, changed_config("truncation_side", "left"), "truncation_side"},
          {"specials split", config, changed_config("split_special_tokens", true),
           "split_special_tokens"},
          {"token is a number", config, changed_config("bos_token", 3),
           "neither text nor an object"},
          {"decoder is a list", config, changed_config("added_tokens_decoder", json::array()),
           "added_tokens_decoder"},
          {"decoder key", config,
           changed_config("added_tokens_decoder", {{"x1", {{"content", "a"}}}}), "'x1'"},
          {"decoder key negative", config,
           changed_config("added_tokens_decoder", {{"-1", {{"content", "a"}}}}), "'-1'"},
          {"decoder value", config, changed_config("added_tokens_decoder", {{"1", "a"}}), "'1'"},
          {"decoder id", config,
           changed_config("added_tokens_decoder", {{"1", {{"content", "!"}}}}),
           "the token '!' the id 1"},
          {"map", "special_tokens_map.json", "[]", "where an object of keys is expected"},
          {"legacy id", "added_tokens.json", R"({"<x>":"914"})", "'<x>' no id"},
          {"legacy wrong id", "added_tokens.json", R"({"<x>":2000})",
           "the token '<x>' the id 2000"},
      });
  const TokenizerFolder folder("sd1");
  folder.write("special_tokens_map.json", R"({"pad_token":null})");
  CHECK_THAT(refusal(folder), Catch::Contains("sets 'pad_token' to null"));
}

TEST_CASE("missing and odd files are refused by name") {
  for (const char* name : {"vocab.json", "merges.txt"}) {
    const TokenizerFolder folder("sd1");
    folder.remove(name);
    CHECK_THAT(refusal(folder), Catch::Contains("neither tokenizer.json nor vocab.json"));
    std::filesystem::create_directory(folder.path() / name);
    CHECK_THAT(refusal(folder),
               Catch::Contains(name) && Catch::Contains("is a folder, not a file"));
  }
  CHECK_THROWS_AS(ClipTokenizer::load("/nonexistent/tokenizer"), InputError);
}

TEST_CASE(
    "a vocabulary without the unknown token, or with a gap where a token would go, is refused") {
  const TokenizerFolder no_end("bare");
  no_end.write("vocab.json", changed_vocabulary([](json& v) { v.erase("<|endoftext|>"); }));
  CHECK_THAT(refusal(no_end), Catch::Contains("unk_token"));
  const TokenizerFolder gap("bare");
  gap.write("vocab.json", changed_vocabulary([](json& v) { v.erase("<|startoftext|>"); }));
  CHECK_THAT(refusal(gap), Catch::Contains("the vocabulary has gaps"));
}

TEST_CASE("gaps, CRLF, a missing header and an absent length are accepted") {
  const TokenizerFolder folder("sd1");
  folder.write("vocab.json", changed_vocabulary([](json& v) { v["far"] = 5000; }));
  folder.write("merges.txt", "e s\r\n");
  folder.write("tokenizer_config.json", R"({"model_max_length":1000000000000000019884624838656})");
  const ClipTokenizer tokenizer = ClipTokenizer::load(folder.path());
  CHECK(tokenizer.vocab_size() == 5001);
  CHECK(tokenizer.model_max_length() == 77);
  CHECK(tokenizer.tokenize("esx").size() == 2);  // "es" and "x</w>": the merge was read
  CHECK(tokenizer.tokenize("sex").size() == 3);
}
