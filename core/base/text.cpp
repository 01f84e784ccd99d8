#include "core/base/text.hpp"

#include <utf8proc.h>

#include <cstdint>
#include <cstdio>

namespace diffuse {
namespace {

bool is_bidi_mark(utf8proc_int32_t c) {
  return c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    if (out.size() >= max_bytes) return out + "...";
    utf8proc_int32_t point = -1;
    const auto left = static_cast<utf8proc_ssize_t>(text.size() - at);
    const auto used =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at), left, &point);
    char escape[16];
    if (used <= 0) {
      std::snprintf(escape, sizeof escape, "\\x%02X", static_cast<unsigned char>(text[at]));
      out += escape;
      ++at;
      continue;
    }
    if (point < 0x20 || (point >= 0x7F && point < 0xA0) || is_bidi_mark(point)) {
      std::snprintf(escape, sizeof escape, "\\u{%X}", static_cast<unsigned>(point));
      out += escape;
    } else {
      out.append(text.substr(at, static_cast<std::size_t>(used)));
    }
    at += static_cast<std::size_t>(used);
  }
  return out;
}

std::string counted(std::int64_t count, std::string_view noun) {
  std::string out = std::to_string(count) + " ";
  out += noun;
  if (count != 1) out += "s";
  return out;
}

}  // namespace diffuse
