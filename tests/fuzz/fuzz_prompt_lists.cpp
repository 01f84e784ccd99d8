// Reading a prompt list in any format. First byte: the format. Second byte: whether wrong lines are
// kept, and how the bytes arrive. The rest is the list.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/io/prompt_file.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace diffuse;
using namespace diffuse::fuzz;

namespace {

constexpr int kFormats = 6;

std::string read(std::string_view list, std::size_t piece, const ListRules& rules,
                 PromptList& result) {
  return refusal([&] {
    PromptLineReader reader("a list", rules);
    for (std::size_t at = 0; at < list.size(); at += piece) reader.feed(list.substr(at, piece));
    result = reader.finish();
  });
}

void check_fields(const PromptFields& fields, const ListRules& rules) {
  const auto in_range = [](const std::optional<int>& value, int most) {
    return !value || (*value >= 1 && *value <= most);
  };
  must(in_range(fields.width, 32'768) && in_range(fields.height, 32'768), "a picture has a size");
  must(in_range(fields.num_inference_steps, 10'000), "steps have a range");
  must(in_range(fields.num_images_per_prompt, 1'000'000), "pictures of a line have a range");
  must(!fields.guidance_scale || std::isfinite(*fields.guidance_scale), "guidance is finite");
  must(!fields.scheduler || *fields.scheduler == rules.schedulers[0] ||
           *fields.scheduler == rules.schedulers[1],
       "a scheduler is known");
  must(!fields.negative_prompt || is_utf8(*fields.negative_prompt), "texts are UTF-8");
  must(is_utf8(fields.name), "a name is UTF-8");
  must(fields.metadata.empty() || nlohmann::json::accept(fields.metadata), "metadata are JSON");
  must(fields.mistake.empty() || rules.keep_going, "mistakes are kept only if asked for");
  must(is_utf8(fields.mistake) && fields.mistake.find('\n') == std::string::npos,
       "a mistake is told in one line");
}

void check(const PromptList& list, std::string_view text, const ListRules& rules) {
  const auto ends = std::count(text.begin(), text.end(), '\n');
  must(list.lines == ends + (text.back() == '\n' ? 0 : 1), "every line is counted");
  must(!list.prompts.empty() && list.prompts.size() <= rules.limits.prompts, "there are prompts");
  std::int64_t line = 0;
  for (const PromptEntry& entry : list.prompts) {
    must(entry.line > line && entry.line <= list.lines, "lines rise");
    line = entry.line;
    const bool wrong = entry.fields && !entry.fields->mistake.empty();
    must(is_utf8(entry.prompt) && entry.prompt.find('\0') == std::string::npos,
         "a prompt is UTF-8 without NUL");
    must(wrong || !entry.prompt.empty(), "a prompt is not empty");
    if (entry.fields) check_fields(*entry.fields, rules);
  }
}

bool equal(const PromptEntry& a, const PromptEntry& b) {
  if (a.prompt != b.prompt || a.line != b.line || !a.fields != !b.fields) return false;
  return !a.fields || *a.fields == *b.fields;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const ListRules rules{.format = static_cast<ListFormat>(data[0] % kFormats),
                        .limits = {.line_bytes = 2'000, .total_bytes = 20'000, .prompts = 100},
                        .schedulers = {"ddim", "euler_a"},
                        .keep_going = data[1] >= 128};
  PromptList whole;
  PromptList in_pieces;
  const std::string refused = read(text, text.size(), rules, whole);
  const std::string refused_pieces = read(text, data[1] % 128U + 1U, rules, in_pieces);
  must(refused.empty() == refused_pieces.empty(), "how a list arrives does not matter");
  if (!refused.empty()) return 0;
  check(whole, text, rules);
  must(whole.lines == in_pieces.lines && whole.prompts.size() == in_pieces.prompts.size() &&
           std::equal(whole.prompts.begin(), whole.prompts.end(), in_pieces.prompts.begin(), equal),
       "how a list arrives does not change it");
  return 0;
}
