#pragma once

#include <string>
#include <string_view>

namespace diffuse {

/// `text` made fit for a one-line message: control characters, invalid UTF-8 and bidirectional
/// marks become \xNN or \u{...} escapes; longer than `max_bytes` is cut and ends in "...".
std::string printable(std::string_view text, std::size_t max_bytes = 200);

}  // namespace diffuse
