#pragma once

#include <filesystem>
#include <string>

#include "core/io/model_folder.hpp"

namespace diffuse {

/// What tells one model from another, as 64 hexadecimal digits: SHA-256 over the pipeline's and the
/// scheduler's class, the networks' configurations (parsed, so their spacing does not count), the
/// scheduler's and the tokenizer's files as they are, and for each file of weights its size, its
/// header and 64 blocks of 64 KiB spread evenly over its data (all data of small files). Names,
/// places and times of files do not count. A change of weights between the sampled blocks alone is
/// not seen. Throws InputError(bad_model) if a file cannot be read.
std::string model_fingerprint(const ModelFolder& model);

/// SHA-256 of all bytes of a file, as 64 hexadecimal digits. Throws InputError(bad_model).
std::string file_sha256(const std::filesystem::path& path);

}  // namespace diffuse
