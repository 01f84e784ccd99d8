#include "core/text/unicode.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace diffuse::unicode {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

/// Combining marks newer than Unicode 9.0, the version of the normaliser inside tokenizers 0.23.3:
/// there they are starters. First and last of each range, ascending.
constexpr std::array<std::pair<char32_t, char32_t>, 36> kLateMarks{{
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
    {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x10D24, 0x10D27},
    {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85},
    {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A},
    {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34},
    {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45},
    {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F},
    {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
}};

/// The only canonical composite between Unicode 9.0 and 15.0 (U+11935 U+11930).
constexpr char32_t kLateComposite = 0x11938;

utf8proc_int32_t point(char32_t c) { return static_cast<utf8proc_int32_t>(c); }

bool is_late_mark(char32_t c) {
  const auto* at = std::lower_bound(kLateMarks.begin(), kLateMarks.end(), c,
                                    [](const auto& range, char32_t x) { return range.second < x; });
  return at != kLateMarks.end() && at->first <= c;
}

int combining_class(char32_t c) {
  if (c < 0x300 || is_late_mark(c)) return 0;
  return utf8proc_get_property(point(c))->combining_class;
}

/// Appends the full canonical decomposition of `c`.
void decompose(char32_t c, std::u32string& out) {
  // Longest canonical decomposition: 4 code points (UAX 15); compatibility ones are not asked for.
  std::array<utf8proc_int32_t, 8> buffer{};
  int boundary = 0;
  const auto count =
      utf8proc_decompose_char(point(c), buffer.data(), static_cast<utf8proc_ssize_t>(buffer.size()),
                              UTF8PROC_DECOMPOSE, &boundary);
  if (count <= 0 || count > static_cast<utf8proc_ssize_t>(buffer.size())) {
    out.push_back(c);
    return;
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    out.push_back(static_cast<char32_t>(buffer[i]));
  }
}

/// The primary composite of two code points (Hangul included), or 0.
char32_t composite(char32_t first, char32_t second) {
  if (second < 0x300) return 0;
  std::array<utf8proc_int32_t, 3> buffer{point(first), point(second), 0};
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const auto count = utf8proc_normalize_utf32(buffer.data(), 2, options);
  if (count != 1 || buffer[0] == point(kLateComposite)) return 0;
  return static_cast<char32_t>(buffer[0]);
}

/// Canonical order: each run of marks sorted by combining class, equal classes kept in place.
/// Sorted, not bubbled as utf8proc_decompose does: a long run of marks must not take quadratic
/// time.
void order_marks(std::u32string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (combining_class(text[i]) == 0) continue;
    std::size_t end = i + 1;
    while (end < text.size() && combining_class(text[end]) != 0) ++end;
    std::stable_sort(text.begin() + static_cast<std::ptrdiff_t>(i),
                     text.begin() + static_cast<std::ptrdiff_t>(end), [](char32_t a, char32_t b) {
                       return combining_class(a) < combining_class(b);
                     });
    i = end - 1;
  }
}

/// Canonical composition, in place.
void compose(std::u32string& text) {
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t starter = kNone;
  std::size_t out = 0;
  int last_class = -1;  // class of the code point kept last after the starter; -1: none
  for (const char32_t c : text) {
    const int own_class = combining_class(c);
    if (starter != kNone && last_class < own_class) {
      if (const char32_t joined = composite(text[starter], c); joined != 0) {
        text[starter] = joined;
        continue;
      }
    }
    if (own_class == 0) {
      starter = out;
      last_class = -1;
    } else {
      last_class = own_class;
    }
    text[out++] = c;
  }
  text.resize(out);
}

}  // namespace

std::u32string decode_utf8(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t c = -1;
    const auto left = static_cast<utf8proc_ssize_t>(text.size() - at);
    const auto used = utf8proc_iterate(bytes + at, left, &c);
    out.push_back(used > 0 ? static_cast<char32_t>(c) : kReplacement);
    at += used > 0 ? static_cast<std::size_t>(used) : 1;
  }
  return out;
}

std::string encode_utf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) {
    std::array<utf8proc_uint8_t, 4> bytes{};
    const auto count = utf8proc_encode_char(point(c), bytes.data());
    out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(count));
  }
  return out;
}

std::u32string nfc(std::u32string_view text) {
  const bool as_is = std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x300; });
  if (as_is) return std::u32string(text);
  std::u32string out;
  out.reserve(text.size());
  for (const char32_t c : text) {
    if (c < 0xC0 || c == kLateComposite) {
      out.push_back(c);
    } else {
      decompose(c, out);
    }
  }
  order_marks(out);
  compose(out);
  return out;
}

std::u32string lower(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (const char32_t c : text) {
    if (c == 0x130) {
      out +=
          U"i\u0307";  // the only full lower-case mapping of two; utf8proc_tolower has simple ones
    } else if (c < 0x80) {
      out.push_back(c >= U'A' && c <= U'Z' ? c + 32 : c);
    } else {
      out.push_back(static_cast<char32_t>(utf8proc_tolower(point(c))));
    }
  }
  return out;
}

Class classify(char32_t c) {
  if ((c >= 0x9 && c <= 0xD) || c == 0x85) return Class::space;
  switch (utf8proc_category(point(c))) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return Class::space;
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return Class::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return Class::number;
    default:
      return Class::other;
  }
}

}  // namespace diffuse::unicode
