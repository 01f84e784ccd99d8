#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/base/error.hpp"

namespace diffuse {

/// What a JSON file may cost at most.
struct JsonLimits {
  std::size_t max_bytes = std::size_t{16} << 20;
  std::size_t max_depth = 64;
  std::size_t max_values = 1'000'000;
};

/// The bytes of a regular file of at most `max_bytes`. Throws InputError(bad_model).
std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes);

/// The file parsed as JSON. Throws InputError(bad_model), with line and column where there is one,
/// for a file that cannot be read, is longer than the limit, holds invalid JSON or UTF-8, NaN,
/// infinities or numbers out of range, nests too deep, or gives a key twice in one object.
nlohmann::json read_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

/// The same for a text; `path` is for messages.
nlohmann::json parse_json(std::string_view text, const std::filesystem::path& path,
                          const JsonLimits& limits = {});

/// read_json_file for a file whose outermost value must be an object.
nlohmann::json read_json_object(const std::filesystem::path& path, const JsonLimits& limits = {});

/// What the parser says, without its own prefix, as part of a one-line message.
std::string json_problem(const nlohmann::json::exception& error);

}  // namespace diffuse
