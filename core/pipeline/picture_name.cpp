#include "core/pipeline/picture_name.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace diffuse {
namespace {

constexpr std::size_t kIndexDigits = 6;
constexpr std::size_t kFolderDigits = 5;
constexpr std::size_t kSlugBytes = 60;
constexpr std::size_t kNameBytes = 80;
constexpr std::size_t kLiteralBytes = 40;
constexpr std::string_view kIndex = "{index}";
constexpr std::array<std::string_view, 4> kParts{kIndex, "{seed}", "{slug}", "{name}"};

// No locale has a say in names.
bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_separator(char c) { return c == '-' || c == '_' || c == '.'; }

/// Literals and {parts} in order; a brace that begins no part is a literal of its own.
std::vector<std::string_view> pieces_of(std::string_view pattern) {
  std::vector<std::string_view> pieces;
  while (!pattern.empty()) {
    std::size_t size = std::min(pattern.find('{', 1), pattern.size());
    if (pattern[0] == '{') {
      for (const std::string_view part : kParts) {
        if (pattern.substr(0, part.size()) == part) size = part.size();
      }
    }
    pieces.push_back(pattern.substr(0, size));
    pattern.remove_prefix(size);
  }
  return pieces;
}

bool is_part(std::string_view piece) { return piece[0] == '{'; }

std::string padded(std::int64_t number, std::size_t digits) {
  std::string text = std::to_string(number);
  if (text.size() < digits) text.insert(0, digits - text.size(), '0');
  return text;
}

void strip_separators(std::string& text) {
  while (!text.empty() && is_separator(text.back())) text.pop_back();
  std::size_t first = 0;
  while (first < text.size() && is_separator(text[first])) ++first;
  text.erase(0, first);
}

std::string slug_of(std::string_view prompt) {
  std::string slug;
  for (const char c : prompt) {
    if (is_plain(c)) {
      slug.push_back(c);
    } else if (!slug.empty() && slug.back() != '-') {
      slug.push_back('-');
    }
    if (slug.size() == kSlugBytes) break;
  }
  strip_separators(slug);
  return slug;
}

// Nothing that a shell, a file system or an earlier part of the name could take for its own:
// neither a slash nor a dot or a hyphen in front, and no byte outside of ASCII.
std::string sanitised(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool kept = is_plain(c) || is_separator(c);
    if (out.empty() && (!kept || is_separator(c))) continue;
    if (kept || out.back() != '_') out.push_back(kept ? c : '_');
    if (out.size() == kNameBytes) break;
  }
  strip_separators(out);
  return out;
}

std::string value_of(std::string_view part, const RenderJob& job) {
  if (part == kIndex) return {};  // is put at one end
  if (part == "{seed}") return std::to_string(job.seed);
  return part == "{slug}" ? slug_of(job.prompt) : sanitised(job.name);
}

/// What the pattern makes of all but the index, which counts as empty.
std::string without_index(const std::vector<std::string_view>& pieces, const RenderJob& job) {
  std::string text;
  for (const std::string_view piece : pieces) {
    const std::string value = is_part(piece) ? value_of(piece, job) : std::string(piece);
    while (value.empty() && !text.empty() && is_separator(text.back())) text.pop_back();
    text += value;
  }
  strip_separators(text);
  return text;
}

}  // namespace

std::string name_pattern_problem(std::string_view pattern) {
  if (pattern.empty()) return "is empty";
  std::size_t literals = 0;
  std::vector<std::string_view> seen;
  for (const std::string_view piece : pieces_of(pattern)) {
    if (!is_part(piece)) {
      for (const char c : piece) {
        if (!is_plain(c) && !is_separator(c)) return "may hold [A-Za-z0-9._-] and parts in braces";
      }
      literals += piece.size();
      continue;
    }
    bool known = false;
    for (const std::string_view part : kParts) known = known || part == piece;
    if (!known) return "has a part other than {index}, {seed}, {slug} and {name}";
    for (const std::string_view earlier : seen) {
      if (earlier == piece) return "has the part " + std::string(piece) + " twice";
    }
    seen.push_back(piece);
  }
  if (is_separator(pattern.front())) return "must begin with a letter, a digit or a part";
  if (literals > kLiteralBytes) {
    return "has more than " + std::to_string(kLiteralBytes) + " characters besides its parts";
  }
  return {};
}

std::string picture_file_name(const RenderJob& job, std::string_view pattern,
                              std::int64_t shard_size, std::string_view extension) {
  const std::vector<std::string_view> pieces = pieces_of(pattern);
  const std::string index = padded(job.index, kIndexDigits);
  const std::size_t last = pieces.size() - 1;

  // The digits of the index must be told from what stands beside them, whatever that is: they are
  // at one end, behind a separator.
  const bool at_end = last > 0 && pieces[last] == kIndex && is_separator(pieces[last - 1].back());
  char separator = '-';
  if (at_end) separator = pieces[last - 1].back();
  if (last > 0 && pieces[0] == kIndex && is_separator(pieces[1].front())) {
    separator = pieces[1].front();
  }
  const std::string rest = without_index(pieces, job);
  std::string name = index;
  if (!rest.empty()) name = at_end ? rest + separator + index : index + separator + rest;
  if (shard_size > 0) name = padded(job.index / shard_size, kFolderDigits) + "/" + name;
  return name.append(extension);
}

}  // namespace diffuse
