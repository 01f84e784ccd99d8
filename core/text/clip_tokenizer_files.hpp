#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/text/byte_pair_encoder.hpp"

namespace diffuse {

/// A token that is recognised in the text before it is split into words.
struct AddedToken {
  std::string content;
  bool normalized = false;  ///< matched against the normalised text, not the raw one
  std::int32_t id = -1;
};

/// What a tokenizer folder says, checked and resolved; the input of ClipTokenizer.
struct ClipTokenizerFiles {
  Vocabulary vocabulary;
  Merges merges;
  std::string merges_file;  ///< for messages
  std::vector<AddedToken> added_tokens;
  std::int32_t bos = -1;      ///< start of text
  std::int32_t eos = -1;      ///< end of text
  std::int32_t pad = -1;      ///< fills up to model_max_length
  std::int32_t unknown = -1;  ///< stands for letters that the vocabulary lacks
  int model_max_length = 0;
  int vocab_size = 0;  ///< largest id of all tokens, added ones included, + 1
};

/// Reads a tokenizer folder in either layout, as transformers 5 does for CLIPTokenizer:
/// `tokenizer.json` (vocabulary, merges, added tokens) or else `vocab.json` and `merges.txt`; then
/// `tokenizer_config.json`, and, where that has no `added_tokens_decoder`,
/// `special_tokens_map.json` over it and `added_tokens.json`. `model_max_length` is 77, the length
/// of every CLIP text model, where no file gives one. Throws InputError(bad_model) with file and
/// reason for what is missing, malformed, contradictory or not supported (padding or truncation on
/// the left, single_word tokens, split_special_tokens).
ClipTokenizerFiles read_clip_tokenizer_files(const std::filesystem::path& folder);

}  // namespace diffuse
