#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace diffuse {

/// Whole content of the regular file `path`, at most `max_bytes` long.
/// Throws InputError(bad_model) when it is missing, unreadable, no regular file or too long.
std::string read_model_text(const std::filesystem::path& path, std::size_t max_bytes);

/// `path` parsed as JSON. Throws InputError(bad_model) as read_model_text does, and for invalid
/// JSON or UTF-8, nesting deeper than 64, a key given twice in one object, or more than four
/// million values.
nlohmann::json read_model_json(const std::filesystem::path& path, std::size_t max_bytes);

}  // namespace diffuse
