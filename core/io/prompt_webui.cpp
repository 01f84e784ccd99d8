// A line of the webui's script "Prompts from file or textbox": a prompt, or "--tag value" pairs.
#include <algorithm>
#include <array>
#include <optional>

#include "core/base/text.hpp"
#include "core/io/prompt_draft.hpp"

namespace diffuse {
namespace {

/// Tags that the webui has and that decide nothing of a picture.
constexpr std::array<std::string_view, 4> kWithoutEffect{"do_not_save_samples", "do_not_save_grid",
                                                         "outpath_grids", "prompt_for_display"};
/// Tags with our name for the same.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kTags{{
    {"prompt", "prompt"},
    {"negative_prompt", "negative_prompt"},
    {"seed", "seed"},
    {"steps", "num_inference_steps"},
    {"cfg_scale", "guidance_scale"},
    {"width", "width"},
    {"height", "height"},
}};
/// The webui's names of samplers, in lower case.
constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kSamplers{{
    {"ddim", "ddim"},
    {"plms", "pndm"},
    {"lms", "lms"},
    {"euler", "euler"},
    {"euler a", "euler_a"},
    {"heun", "heun"},
    {"dpm++ 2m", "dpmpp_2m"},
    {"dpm++ 2m karras", "dpmpp_2m_karras"},
    {"unipc", "unipc"},
    {"lcm", "lcm"},
}};

/// Splits as a POSIX shell does, without expansions or comments: white space parts, '...' is taken
/// as it is, inside "..." a backslash escapes " and itself, outside anything. Nothing if a quote or
/// an escape is left open.
std::optional<std::vector<std::string>> shell_words(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == '\\' && quote != '\'') {
      if (++i == text.size()) return std::nullopt;
      if (quote == '"' && text[i] != '"' && text[i] != '\\') words.back().push_back('\\');
      words.back().push_back(text[i]);
    } else {
      words.back().push_back(c);
    }
  }
  if (quote != 0) return std::nullopt;
  return words;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::string scheduler_of(const std::string& sampler) {
  for (const auto& [name, ours] : kSamplers) {
    if (name == lower(sampler)) return std::string(ours);
  }
  return sampler;
}

/// How many pictures the tags ask for: batch_size x n_iter.
class PictureCount {
 public:
  void set(const std::string& tag, const std::string& value, PromptDraft& draft) {
    std::uint64_t number = 0;
    for (const char c : value) {
      if (c < '0' || c > '9' || number > 1'000'000) {
        return draft.add_wrong(tag, "a whole number", "\"" + value + "\"");
      }
      number = number * 10 + static_cast<std::uint64_t>(c - '0');
    }
    (tag == "n_iter" ? rounds_ : at_once_) = number;
    given_ = true;
  }
  void tell(PromptDraft& draft) const {
    if (given_) draft.set_whole("num_images_per_prompt", rounds_ * at_once_);
  }

 private:
  std::uint64_t rounds_ = 1, at_once_ = 1;
  bool given_ = false;
};

void take(const std::string& tag, const std::string& value, PictureCount& count,
          PromptDraft& draft) {
  for (const auto& [name, key] : kTags) {
    if (name != tag) continue;
    // -1 is the webui's word for a drawn seed: ours follows from the picture's index.
    if (tag != "seed" || value != "-1") draft.set(key, value);
    return;
  }
  if (tag == "sampler_name") return draft.set_text("scheduler", scheduler_of(value));
  if (tag == "batch_size" || tag == "n_iter") return count.set(tag, value, draft);
  if (std::find(kWithoutEffect.begin(), kWithoutEffect.end(), tag) != kWithoutEffect.end()) return;
  draft.add_mistake("the tag --" + printable(tag, 40) + " is not supported");
}

/// The pairs of a line; the first mistake of the line as such, else empty.
std::string take_pairs(const std::vector<std::string>& words, PromptDraft& draft) {
  const auto is_tag = [&](std::size_t i) { return words[i].starts_with("--"); };
  PictureCount count;
  std::vector<std::string> seen;
  for (std::size_t at = 0; at < words.size();) {
    if (!is_tag(at)) return "\"" + printable(words[at], 40) + "\" stands before any --tag";
    const std::string tag = words[at].substr(2);
    if (++at == words.size()) return "--" + printable(tag, 40) + " has no value";
    std::string value = words[at++];
    if (tag == "prompt" || tag == "negative_prompt") {
      for (; at < words.size() && !is_tag(at); ++at) value += " " + words[at];
    }
    if (std::find(seen.begin(), seen.end(), tag) != seen.end()) {
      return "--" + printable(tag, 40) + " is given twice";
    }
    seen.push_back(tag);
    take(tag, value, count, draft);
  }
  count.tell(draft);
  return {};
}

}  // namespace

ParsedLine parse_webui_line(std::string_view text, std::int64_t line, const ListRules& rules) {
  ParsedLine as_it_stands{ParsedLine::Kind::prompt, {std::string(text), line, nullptr}};
  if (text.find("--") == std::string_view::npos) return as_it_stands;
  PromptDraft draft(rules);
  const auto words = shell_words(text);
  const std::string mistake =
      words ? take_pairs(*words, draft) : "a quote or a backslash is left open";
  ParsedLine parsed = std::move(draft).finish(line);
  if (!mistake.empty()) {
    parsed = wrong_line(text,
                        mistake +
                            " (the webui would render the whole line as a prompt: so does "
                            "--input-format webui-lenient)",
                        line);
  }
  const bool wrong = parsed.kind == ParsedLine::Kind::mistake;
  return wrong && rules.format == ListFormat::webui_lenient ? as_it_stands : parsed;
}

}  // namespace diffuse
