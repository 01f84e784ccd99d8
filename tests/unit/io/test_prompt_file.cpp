#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <thread>

#include "core/base/error.hpp"
#include "core/io/prompt_file.hpp"

using namespace diffuse;

namespace {

/// Fed whole and byte by byte, which must not differ.
PromptList read_text(const std::string& text, const PromptLimits& limits = {}) {
  PromptLineReader slow("list.txt", {.limits = limits});
  std::string slow_error;
  PromptList slowly;
  try {
    for (const char c : text) slow.feed(std::string_view(&c, 1));
    slowly = slow.finish();
  } catch (const Error& error) {
    slow_error = error.what();
  }
  PromptLineReader reader("list.txt", {.limits = limits});
  try {
    reader.feed(text);
    PromptList list = reader.finish();
    CHECK(slow_error.empty());
    REQUIRE(list.prompts.size() == slowly.prompts.size());
    for (std::size_t i = 0; i < list.prompts.size(); ++i) {
      CHECK(list.prompts[i].prompt == slowly.prompts[i].prompt);
      CHECK(list.prompts[i].line == slowly.prompts[i].line);
    }
    CHECK(list.blank_lines == slowly.blank_lines);
    CHECK(list.lines == slowly.lines);
    return list;
  } catch (const Error& error) {
    CHECK(slow_error == error.what());
    throw;
  }
}

std::string error_of(const std::string& text, const PromptLimits& limits = {}) {
  try {
    read_text(text, limits);
  } catch (const InputError& error) {
    CHECK(error.code() == ExitCode::bad_list);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) {
  INFO("text: " << text << "\npart: " << part);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a prompt list: line ends, blank lines, white space, comments") {
  const PromptList list = read_text(
      "\xEF\xBB\xBF"
      "a cat\r\n\n  \t\r\n#hashtag dog  \n\xE3\x80\x80 caf\xC3\xA9\xC2\xA0\nlast");
  REQUIRE(list.prompts.size() == 4);
  CHECK(list.prompts[0].prompt == "a cat");
  CHECK(list.prompts[0].line == 1);
  CHECK(list.prompts[1].prompt == "#hashtag dog");
  CHECK(list.prompts[1].line == 4);
  CHECK(list.prompts[2].prompt == "caf\xC3\xA9");
  CHECK(list.prompts[3].prompt == "last");
  CHECK(list.prompts[3].line == 6);
  CHECK(list.blank_lines == 2);
  CHECK(list.lines == 6);
  // A byte order mark elsewhere is text, and so are control characters and emoji.
  CHECK(read_text("a\xEF\xBB\xBF"
                  "b \x1b[31m\xF0\x9F\x90\x88\n")
            .prompts[0]
            .prompt ==
        "a\xEF\xBB\xBF"
        "b \x1b[31m\xF0\x9F\x90\x88");
}

TEST_CASE("an empty list is a mistake") {
  has(error_of(""), "no prompts");
  has(error_of("\n \n\t\r\n"), "no prompts (3 blank lines)");
  has(error_of("\xEF\xBB\xBF"), "no prompts");
}

TEST_CASE("all mistakes of a list are told together") {
  const std::string told = error_of(
      "good\nbad \xFF\nmac\rmac\nn\0l\n"
      "over\xC0\xAFlong\nsurrogate \xED\xA0\x80\ncut \xE2\x82\n");
  has(told, "line 2: invalid UTF-8 at byte 5 (0xFF)");
  has(told, "line 3: carriage return inside the line at byte 4");
  const std::string nul = error_of(std::string("good line of text\nn\0l\nover\xC0\xAF\n", 29));
  has(nul, "line 2: NUL at byte 2");
  has(nul, "line 3: invalid UTF-8 at byte 5 (0xC0)");
  has(error_of("surrogate \xED\xA0\x80\ncut \xE2\x82\ntoo high \xF4\x90\x80\x80\n"),
      "line 1: invalid UTF-8 at byte 11 (0xED); line 2: invalid UTF-8 at byte 5 (0xE2); line 3: "
      "invalid UTF-8 at byte 10 (0xF4)");
  std::string many;
  for (int i = 0; i < 31; ++i) many += "\xFF\n";
  has(error_of(many), "line 20: invalid UTF-8 at byte 1 (0xFF); and 11 more;");
  many.clear();
  for (int i = 0; i < 5'000; ++i) many += "\xFF\n";
  has(error_of(many), "and 980 more up to there");
}

TEST_CASE("wide text and binary files are recognised") {
  has(error_of(std::string("\xFF\xFE"
                           "c\0a\0t\0\n\0",
                           10)),
      "UTF-16");
  has(error_of(std::string("\xFE\xFF\0c\0a\0t", 8)), "UTF-16");
  has(error_of(std::string("c\0a\0t\0\n\0", 8)), "UTF-16");
  has(error_of(std::string(200'000, '\0')), "no text file");
}

TEST_CASE("limits of a list") {
  CHECK(read_text(std::string(65'536, 'x') + "\r\n").prompts[0].prompt.size() == 65'536);
  has(error_of("a\n" + std::string(65'537, 'x') + "\n\xFF\n"),
      "line 2: longer than 65536 bytes; line 3: invalid UTF-8");
  has(error_of(std::string(300'000, 'x')), "line 1: longer than");
  CHECK(error_of("aa\nbb\ncc", {.total_bytes = 8}).empty());
  has(error_of("aa\nbb\ncc\n", {.total_bytes = 8}), "longer than 8 bytes");
  has(error_of("a\nb\nc\n", {.prompts = 2}), "more than 2 prompts");
}

TEST_CASE("lists from files and pipes") {
  const auto told = [](const std::string& path, const PromptLimits& limits = {}) -> std::string {
    try {
      read_prompt_file(path, {.limits = limits});
    } catch (const InputError& error) {
      CHECK(error.code() == ExitCode::bad_list);
      return error.what();
    }
    return "";
  };
  has(told("/nonexistent/list.txt"), "No such file");
  has(told("/tmp"), "is a folder");
  has(told("/proc/self/mem"), "cannot be read");  // readable by its mode, but not in fact
  has(told("/dev/null"), "no prompts");
  has(told("/dev/zero"), "no text file");
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  // More than a pipe holds, so that it comes in pieces.
  std::thread writer([&] {
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += "prompt number " + std::to_string(i) + "\n";
    std::size_t at = 0;
    while (at < text.size()) {
      const ssize_t put = ::write(ends[1], text.data() + at, text.size() - at);
      if (put <= 0) break;
      at += static_cast<std::size_t>(put);
    }
    ::close(ends[1]);
  });
  const PromptList list = read_prompts(ends[0], "pipe");
  writer.join();
  ::close(ends[0]);
  REQUIRE(list.prompts.size() == 20'000);
  CHECK(list.prompts.back().prompt == "prompt number 19999");
  CHECK(list.prompts.back().line == 20'000);
}
