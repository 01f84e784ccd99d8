#include "core/io/prompt_parser.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/prompt_csv.hpp"
#include "core/io/prompt_draft.hpp"

namespace diffuse {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

constexpr std::array<std::pair<std::string_view, ListFormat>, 6> kFormats{{
    {"text", ListFormat::text},
    {"jsonl", ListFormat::jsonl},
    {"csv", ListFormat::csv},
    {"tsv", ListFormat::tsv},
    {"webui", ListFormat::webui},
    {"webui-lenient", ListFormat::webui_lenient},
}};
constexpr std::array<std::pair<std::string_view, ListFormat>, 4> kEndings{{
    {".jsonl", ListFormat::jsonl},
    {".ndjson", ListFormat::jsonl},
    {".csv", ListFormat::csv},
    {".tsv", ListFormat::tsv},
}};

/// Position of the first byte that is not UTF-8, or npos.
std::size_t first_invalid(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    utf8proc_int32_t point = -1;
    const auto used = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                       static_cast<utf8proc_ssize_t>(text.size() - at), &point);
    if (used <= 0) return at;
    at += static_cast<std::size_t>(used);
  }
  return std::string_view::npos;
}

/// What is wrong with the bytes of a line, whatever its format; empty: nothing.
std::string byte_problem(std::string_view line) {
  const std::size_t invalid = first_invalid(line);
  const std::size_t nul = line.find('\0');
  const std::size_t first = std::min({invalid, nul, line.find('\r')});
  if (first == std::string_view::npos) return {};
  const std::string at = " at byte " + std::to_string(first + 1);
  if (first == nul) return "NUL" + at;
  if (first != invalid) {
    return "carriage return inside the line" + at + " (old Mac line ends? tr '\\r' '\\n')";
  }
  char hex[8];
  std::snprintf(hex, sizeof hex, "0x%02X", static_cast<unsigned char>(line[first]));
  return "invalid UTF-8" + at + " (" + hex + ")";
}

}  // namespace

ListFormat list_format(const std::string& flag, const std::string& path) {
  if (flag == "auto") {
    for (const auto& [ending, format] : kEndings) {
      if (std::string_view(path).ends_with(ending)) return format;
    }
    return ListFormat::text;
  }
  for (const auto& [name, format] : kFormats) {
    if (name == flag) return format;
  }
  throw ConfigError("--input-format: unknown format '" + printable(flag, 40) + "'");
}

class PromptParser::Csv : public CsvPrompts {
  using CsvPrompts::CsvPrompts;
};

PromptParser::PromptParser(const ListRules& rules) : rules_(rules) {
  if (rules_.format == ListFormat::csv || rules_.format == ListFormat::tsv) {
    csv_ = std::make_unique<Csv>(rules_);
  }
}
PromptParser::~PromptParser() = default;

ParsedLine PromptParser::line(std::string_view bytes, std::int64_t number) {
  if (number == 1 && bytes.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    bytes.remove_prefix(kByteOrderMark.size());
  }
  if (!bytes.empty() && bytes.back() == '\r') bytes.remove_suffix(1);
  if (bytes.size() > rules_.limits.line_bytes) {
    return wrong(bytes, "longer than " + std::to_string(rules_.limits.line_bytes) + " bytes",
                 number);
  }
  if (std::string problem = byte_problem(bytes); !problem.empty()) {
    return wrong(bytes, std::move(problem), number);
  }
  if (csv_) return csv_->line(bytes, number);
  const std::string_view text = stripped(bytes);
  if (text.empty()) return {};
  switch (rules_.format) {
    case ListFormat::jsonl:
      return parse_json_line(text, number, rules_);
    case ListFormat::webui:
    case ListFormat::webui_lenient:
      return parse_webui_line(text, number, rules_);
    case ListFormat::text:
    case ListFormat::csv:
    case ListFormat::tsv:
      break;
  }
  return {ParsedLine::Kind::prompt, {std::string(text), number, nullptr}};
}

ParsedLine PromptParser::wrong(std::string_view bytes, std::string mistake, std::int64_t number) {
  return csv_ ? csv_->wrong(bytes, mistake, number) : wrong_line(bytes, std::move(mistake), number);
}

ParsedLine PromptParser::end() { return csv_ ? csv_->end() : ParsedLine{}; }

}  // namespace diffuse
