#include "core/io/prompt_draft.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <memory>
#include <utility>

#include "core/base/text.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kNameBytes = 1'000;
constexpr std::size_t kMetadataBytes = 16'384;
constexpr std::size_t kShown = 40;
constexpr std::uint64_t kMostSide = 32'768;
constexpr std::uint64_t kMostSteps = 10'000;
constexpr std::uint64_t kMostPictures = 1'000'000;
constexpr std::string_view kWhole = "a whole number";
constexpr std::string_view kReal = "a finite number";

constexpr std::array<std::pair<std::string_view, FieldType>, 11> kFields{{
    {"prompt", FieldType::text},
    {"negative_prompt", FieldType::text},
    {"seed", FieldType::whole},
    {"width", FieldType::whole},
    {"height", FieldType::whole},
    {"num_inference_steps", FieldType::whole},
    {"guidance_scale", FieldType::real},
    {"scheduler", FieldType::text},
    {"num_images_per_prompt", FieldType::whole},
    {"name", FieldType::text},
    {"metadata", FieldType::json},
}};

/// Levenshtein distance; both texts are short.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

template <class Number>
bool read_number(std::string_view text, Number& value) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && at == end;
}

bool is_space(utf8proc_int32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

}  // namespace

FieldType field_type(std::string_view key) {
  for (const auto& [name, type] : kFields) {
    if (name == key) return type;
  }
  return FieldType::unknown;
}

std::string unknown_key(std::string_view key) {
  constexpr std::size_t kLongest = 64;
  std::string_view nearest;
  std::size_t least = key.size() / 2 + 1;  // what shares less than half is another word
  for (const auto& [name, type] : kFields) {
    if (key.size() > kLongest) break;
    if (const std::size_t here = distance(key, name); here < least) {
      least = here;
      nearest = name;
    }
  }
  std::string text = "unknown key \"" + printable(key, kShown) + "\"";
  if (!nearest.empty()) text += " (did you mean \"" + std::string(nearest) + "\"?)";
  return text;
}

std::string_view stripped(std::string_view text) {
  std::size_t first = text.size();
  std::size_t last = 0;
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t point = -1;
    const auto used = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                       static_cast<utf8proc_ssize_t>(text.size() - at), &point);
    const std::size_t next = at + static_cast<std::size_t>(std::max<utf8proc_ssize_t>(used, 1));
    if (!is_space(point)) {
      first = std::min(first, at);
      last = next;
    }
    at = next;
  }
  return first < last ? text.substr(first, last - first) : std::string_view();
}

ParsedLine wrong_line(std::string_view text, std::string mistake, std::int64_t line) {
  auto fields = std::make_shared<PromptFields>();
  fields->mistake = std::move(mistake);
  return {ParsedLine::Kind::mistake, {printable(text), line, std::move(fields)}};
}

void PromptDraft::add_mistake(const std::string& what) {
  fields_.mistake += (fields_.mistake.empty() ? "" : ", ") + what;
}

void PromptDraft::add_unknown(std::string_view key) { add_mistake(unknown_key(key)); }

void PromptDraft::add_wrong(std::string_view key, std::string_view wanted, std::string_view given) {
  add_mistake(std::string(key) + " must be " + std::string(wanted) + ", not " +
              printable(given, kShown));
}

void PromptDraft::set_whole(std::string_view key, std::uint64_t value) {
  if (key == "seed") {
    fields_.seed = value;
    return;
  }
  const bool is_side = key == "width" || key == "height";
  const std::uint64_t most = is_side                        ? kMostSide
                             : key == "num_inference_steps" ? kMostSteps
                                                            : kMostPictures;
  if (value < 1 || value > most) {
    return add_wrong(key, "from 1 to " + std::to_string(most), std::to_string(value));
  }
  std::optional<int>& field = key == "width"                 ? fields_.width
                              : key == "height"              ? fields_.height
                              : key == "num_inference_steps" ? fields_.num_inference_steps
                                                             : fields_.num_images_per_prompt;
  field = static_cast<int>(value);
}

void PromptDraft::set_real(std::string_view key, double value) {
  if (!std::isfinite(value)) return add_wrong(key, kReal, "infinite or not a number");
  fields_.guidance_scale = value;
}

void PromptDraft::set_text(std::string_view key, std::string value) {
  if (value.find('\0') != std::string::npos) return add_mistake(std::string(key) + " holds a NUL");
  if (key == "prompt") {
    prompt_ = stripped(value);
    has_prompt_ = true;
    if (prompt_.empty()) add_mistake("prompt is blank");
  } else if (key == "negative_prompt") {
    fields_.negative_prompt = std::move(value);
  } else if (key == "name") {
    if (value.empty()) return add_mistake("name is empty");
    if (value.size() > kNameBytes) return add_mistake("name is longer than 1000 bytes");
    fields_.name = std::move(value);
  } else {
    const auto& known = rules_.schedulers;
    if (std::find(known.begin(), known.end(), value) == known.end()) {
      return add_mistake("unknown scheduler \"" + printable(value, kShown) +
                         "\" (see --scheduler in --help)");
    }
    fields_.scheduler = std::move(value);
  }
}

void PromptDraft::set_metadata(std::string json) {
  if (json.size() > kMetadataBytes) {
    return add_mistake("metadata is longer than " + std::to_string(kMetadataBytes) + " bytes");
  }
  fields_.metadata = std::move(json);
}

void PromptDraft::set(std::string_view key, std::string_view text) {
  const std::string shown = "\"" + std::string(text.substr(0, kShown)) + "\"";
  std::uint64_t whole = 0;
  double real = 0;
  switch (field_type(key)) {
    case FieldType::whole:
      if (!read_number(text, whole)) return add_wrong(key, kWhole, shown);
      return set_whole(key, whole);
    case FieldType::real:
      if (!read_number(text, real)) return add_wrong(key, kReal, shown);
      return set_real(key, real);
    case FieldType::text:
      return set_text(key, std::string(text));
    case FieldType::json:
    case FieldType::unknown:
      return add_unknown(key);
  }
}

ParsedLine PromptDraft::finish(std::int64_t line) && {
  if (!has_prompt_) add_mistake("prompt is missing");
  ParsedLine parsed{ParsedLine::Kind::prompt, {std::move(prompt_), line, nullptr}};
  if (!fields_.mistake.empty()) parsed.kind = ParsedLine::Kind::mistake;
  if (fields_ != PromptFields{}) {
    parsed.entry.fields = std::make_shared<PromptFields>(std::move(fields_));
  }
  return parsed;
}

}  // namespace diffuse
