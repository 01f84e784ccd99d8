#include "core/io/picture_label.hpp"

#include <utf8proc.h>

#include <algorithm>

#include "core/io/label_font.hpp"

namespace diffuse {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr char32_t kEllipsis = 0x2026;
/// No label shows more; a prompt may be long.
constexpr std::size_t kMostBytes = 4'096;

bool is_space(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP || category == UTF8PROC_CATEGORY_CC;
}

/// Calls `see` with every code point of `text`; -1 for a byte that is no UTF-8.
template <class See>
void each_code_point(std::string_view text, const See& see) {
  while (!text.empty()) {
    utf8proc_int32_t point = -1;
    const auto used = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()), &point);
    const auto bytes = used > 0 ? static_cast<std::size_t>(used) : 1;
    see(point, text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
}

/// Code points of `text`, composed, without those that have no form.
std::u32string composed(std::string_view text) {
  std::string valid;
  each_code_point(text, [&](utf8proc_int32_t point, std::string_view bytes) {
    valid += point < 0 ? kReplacement : bytes;
  });
  std::vector<utf8proc_int32_t> points(4 * valid.size() + 1);
  constexpr auto kOptions =
      static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE | UTF8PROC_IGNORE);
  auto length = utf8proc_decompose(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()),
                                   static_cast<utf8proc_ssize_t>(valid.size()), points.data(),
                                   static_cast<utf8proc_ssize_t>(points.size()), kOptions);
  length = std::min(length, static_cast<utf8proc_ssize_t>(points.size()));
  if (length > 0) length = utf8proc_normalize_utf32(points.data(), length, kOptions);
  points.resize(static_cast<std::size_t>(std::max<utf8proc_ssize_t>(0, length)));
  return {points.begin(), points.end()};
}

std::vector<std::u32string> words_of(const std::u32string& text) {
  std::vector<std::u32string> words;
  bool inside = false;
  for (const char32_t c : text) {
    if (is_space(c)) {
      inside = false;
      continue;
    }
    if (!inside) words.emplace_back();
    inside = true;
    words.back() += c;
  }
  return words;
}

/// Marks the last of `lines` as cut.
void add_ellipsis(std::vector<std::u32string>& lines, std::size_t columns) {
  std::u32string& last = lines.back();
  if (last.size() >= columns) last.resize(columns - 1);
  while (!last.empty() && last.back() == U' ') last.pop_back();
  last += kEllipsis;
}

}  // namespace

PictureLabel make_label(std::string_view text, int columns, int lines) {
  PictureLabel label;
  if (columns < 1 || lines < 1) return label;
  const auto width = static_cast<std::size_t>(columns);
  const auto most = static_cast<std::size_t>(lines);
  bool cut = text.size() > kMostBytes;
  for (std::u32string word : words_of(composed(text.substr(0, kMostBytes)))) {
    // A word that fits no line begins on this one, if half of it is free.
    std::u32string* line = label.lines.empty() ? nullptr : &label.lines.back();
    const std::size_t free =
        line == nullptr || line->size() + 1 >= width ? 0 : width - line->size() - 1;
    if (free > 0 && (word.size() <= free || (word.size() > width && free >= width / 2))) {
      *line += U' ' + word.substr(0, free);
      word.erase(0, free);
    }
    for (; !word.empty() && label.lines.size() < most; word.erase(0, width)) {
      label.lines.push_back(word.substr(0, width));
    }
    if (!word.empty()) {
      cut = true;
      break;
    }
  }
  if (cut && !label.lines.empty()) add_ellipsis(label.lines, width);
  for (const std::u32string& line : label.lines) {
    label.missing += static_cast<std::size_t>(std::count_if(
        line.begin(), line.end(), [](char32_t c) { return find_letter(c) == nullptr; }));
  }
  return label;
}

void draw_letters(std::u32string_view line, std::int64_t left, std::int64_t top, std::uint8_t grey,
                  RgbPicture& picture) {
  for (const char32_t c : line) {
    const Letter* const found = find_letter(c);
    const Letter& letter = found != nullptr ? *found : missing_letter();
    for (int y = 0; y < kLetterHeight; ++y) {
      for (int x = 0; x < kLetterWidth; ++x) {
        const std::int64_t u = left + x;
        const std::int64_t v = top + y;
        if (!letter.is_set(x, y) || u < 0 || v < 0 || u >= picture.width || v >= picture.height) {
          continue;
        }
        std::fill_n(picture.rgb.begin() + (v * picture.width + u) * 3, 3, grey);
      }
    }
    left += kLetterWidth;
  }
}

}  // namespace diffuse
