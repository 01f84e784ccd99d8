#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/safetensors.hpp"

namespace diffuse {

/// The tables of a header, as far as its JSON gives them.
struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> metadata;
};

/// Largest header that the format allows, in bytes.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

/// Reads the JSON of a header without building a tree of it, so that memory stays in proportion to
/// the tables. Throws InputError(code) naming `path`, the tensor and what is wrong.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::filesystem::path& path,
                                           ExitCode code);

/// Sorts the tensors by name and checks that no name comes twice, that each tensor's bytes agree
/// with its shape and dtype, and that their data fill [0, end) without hole or overlap. Gives end.
/// Throws InputError(code).
std::uint64_t check_safetensors_tables(std::vector<TensorInfo>& tensors,
                                       const std::filesystem::path& path, ExitCode code);

/// Bytes of a tensor of that shape and dtype, or nothing if that overflows or is no whole number.
std::optional<std::uint64_t> tensor_bytes(const std::vector<std::int64_t>& shape,
                                          StoredDType dtype);

}  // namespace diffuse
