#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace diffuse {

/// `text` made fit for a one-line message: control characters, invalid UTF-8 and bidirectional
/// marks become \xNN or \u{...} escapes; longer than `max_bytes` is cut and ends in "...".
std::string printable(std::string_view text, std::size_t max_bytes = 200);

/// A number and its noun in English: counted(1, "record") is "1 record", counted(2, "record")
/// "2 records". The plural adds an s.
std::string counted(std::int64_t count, std::string_view noun);

}  // namespace diffuse
