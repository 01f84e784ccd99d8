#include "core/base/json_file.hpp"

#include <sys/stat.h>

#include "io_test_files.hpp"
#include "safetensors_bytes.hpp"

namespace diffuse {
namespace {

using test::bad_model_message;
using test::put;
using test::TemporaryFolder;

std::string refusal(const std::string& text, const JsonLimits& limits = {}) {
  return bad_model_message([&] { (void)parse_json(text, "config.json", limits); });
}

TEST_CASE("a well-formed JSON file is read", "[json_file]") {
  const TemporaryFolder folder;
  put(folder.path() / "a.json", R"({"a": [1, 2.5, "x"], "b": {"a": null}})");
  const auto value = read_json_object(folder.path() / "a.json");
  CHECK(value["a"][1] == 2.5);
  CHECK(value["b"]["a"].is_null());
}

TEST_CASE("hostile JSON is refused with file and reason", "[json_file]") {
  struct Case {
    std::string what, text, message;
  };
  const std::vector<Case> cases = {
      {"broken", "{\"a\": 1,\n \"b\": }", "line 2, column 7"},
      {"empty", "", "line 1"},
      {"cut off", "{\"a\": [1, 2", "line 1"},
      {"trailing text", "{} x", "line 1"},
      {"NaN", "{\"a\": NaN}", "line 1"},
      {"Infinity", "{\"a\": -Infinity}", "line 1"},
      {"number out of range", "{\"a\": 1e400}", "out of range|overflow"},
      {"invalid UTF-8", "{\"a\": \"\xFF\"}", "UTF-8"},
      {"raw control character", "{\"a\": \"\n\"}", "control character"},
      {"NUL and more", std::string("{}\0{}", 5), "NUL"},
      {"comment", "{/* */}", "line 1"},
      {"key twice", "{\"a\": 1, \"b\": {\"a\": 1}, \"a\": 2}", "\"a\" is given twice"},
      {"key twice, inner object", "[{\"k\": {\"a\": 1, \"a\": 1}}]", "twice"},
      {"key twice by escape", "{\"a\": 1, \"\\u0061\": 2}", "twice"},
      {"a million brackets", std::string(1'000'000, '['), "deeper than 64"},
      {"a million objects",
       [] {
         std::string text;
         for (int i = 0; i < 1'000'000; ++i) text += "{\"a\":";
         return text;
       }(),
       "deeper than 64"},
      {"65 levels deep", std::string(66, '[') + std::string(66, ']'), "deeper than 64"},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    const std::string message = refusal(c.text);
    INFO(message);
    CHECK(message.find("config.json") != std::string::npos);
    CHECK_THAT(message, Catch::Matches(".*(" + c.message + ").*"));
  }
  CHECK_NOTHROW(parse_json(std::string(64, '[') + std::string(64, ']'), "config.json"));
  CHECK(refusal("[1, 2, 3, 4]", {.max_bytes = 100, .max_depth = 2, .max_values = 4})
            .find("more than 4 values") != std::string::npos);
}

TEST_CASE("what is no readable file is refused with the reason", "[json_file]") {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& name) {
    return bad_model_message([&] { (void)read_json_object(folder.path() / name); });
  };
  CHECK(message("missing.json").find("No such file") != std::string::npos);
  CHECK(message("").find("is a folder") != std::string::npos);
  std::filesystem::create_symlink("loop.json", folder.path() / "loop.json");
  CHECK(message("loop.json").find("symbolic link") != std::string::npos);
  std::filesystem::create_symlink("nowhere", folder.path() / "dangling.json");
  CHECK(message("dangling.json").find("No such file") != std::string::npos);
  REQUIRE(::mkfifo((folder.path() / "fifo").c_str(), 0600) == 0);
  CHECK(message("fifo").find("no regular file") != std::string::npos);
  put(folder.path() / "list.json", "[]");
  CHECK(message("list.json").find("array") != std::string::npos);
  put(folder.path() / "long.json", std::string((16U << 20) + 1, ' '));
  CHECK(message("long.json").find("16777217 bytes") != std::string::npos);
}

}  // namespace
}  // namespace diffuse
