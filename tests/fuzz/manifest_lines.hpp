#pragma once

#include <string>
#include <string_view>

namespace diffuse::fuzz {

/// `text`, every line that ends in a byte 0x1D instead of a check sum with the right one: so that
/// most lines are looked at.
std::string with_sums(std::string_view text);

/// What a line says survives writing it again.
void check_line(std::string_view line);

}  // namespace diffuse::fuzz
