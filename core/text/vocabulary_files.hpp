#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "core/text/byte_pair_encoder.hpp"

namespace diffuse {

/// Longest configuration file and longest vocabulary file that are read, in bytes.

/// Throws InputError(bad_model): the problem with `file`, why it matters and what to do.
[[noreturn]] void refuse_tokenizer(const std::filesystem::path& file, const std::string& problem);

struct VocabularyFiles {
  Vocabulary vocabulary;
  Merges merges;
  std::filesystem::path vocabulary_file;
  std::filesystem::path merges_file;
};

/// `tokenizer.json` of `folder`, an object with an object `model`; null if there is no such file.
/// Throws InputError(bad_model).
nlohmann::json read_tokenizer_json(const std::filesystem::path& folder);

/// Vocabulary and merges of `folder`: from `tokenizer`, what read_tokenizer_json gave, or, where
/// that is null, `vocab.json` and `merges.txt`. Ids are 0 to 2^20 - 1 and unique; gaps are allowed.
/// Throws InputError(bad_model).
VocabularyFiles read_vocabulary_files(const std::filesystem::path& folder,
                                      const nlohmann::json& tokenizer);

}  // namespace diffuse
