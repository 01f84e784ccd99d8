// Reading a plain prompt list. The first byte says how the bytes arrive and whether the limits are
// small; the rest is the list.
#include <algorithm>

#include "core/io/prompt_file.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace diffuse;
using namespace diffuse::fuzz;

namespace {

std::string read(std::string_view list, std::size_t piece, const PromptLimits& limits,
                 PromptList& result) {
  return refusal([&] {
    PromptLineReader reader("a list", {.limits = limits});
    for (std::size_t at = 0; at < list.size(); at += piece) reader.feed(list.substr(at, piece));
    result = reader.finish();
  });
}

void check(const PromptList& list, std::string_view text, const PromptLimits& limits) {
  const auto ends = std::count(text.begin(), text.end(), '\n');
  must(list.lines == ends + (text.back() == '\n' ? 0 : 1), "every line is counted");
  must(list.lines == list.blank_lines + static_cast<std::int64_t>(list.prompts.size()),
       "a line is blank or a prompt");
  must(list.prompts.size() <= limits.prompts, "no more prompts than allowed");
  std::int64_t line = 0;
  for (const PromptEntry& entry : list.prompts) {
    must(entry.line > line && entry.line <= list.lines, "lines rise");
    line = entry.line;
    must(!entry.prompt.empty() && entry.prompt.size() <= limits.line_bytes, "a prompt has a size");
    must(is_utf8(entry.prompt), "a prompt is UTF-8");
    must(entry.prompt.find_first_of(std::string("\0\n\r", 3)) == std::string::npos,
         "a prompt is one line");
    must(text.find(entry.prompt) != std::string_view::npos, "a prompt is of the list");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  PromptLimits limits;
  if (data[0] >= 128) limits = {.line_bytes = 20, .total_bytes = 2000, .prompts = 10};
  PromptList whole;
  PromptList in_pieces;
  const std::string refused = read(text, text.size(), limits, whole);
  const std::string refused_pieces = read(text, data[0] % 128U + 1U, limits, in_pieces);
  must(refused.empty() == refused_pieces.empty(), "how a list arrives does not matter");
  if (!refused.empty()) return 0;
  check(whole, text, limits);
  must(whole.prompts.size() == in_pieces.prompts.size() && whole.lines == in_pieces.lines &&
           std::equal(whole.prompts.begin(), whole.prompts.end(), in_pieces.prompts.begin(),
                      [](const PromptEntry& a, const PromptEntry& b) {
                        return a.prompt == b.prompt && a.line == b.line;
                      }),
       "how a list arrives does not change it");
  return 0;
}
