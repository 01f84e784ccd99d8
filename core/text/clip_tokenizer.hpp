#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/added_tokens.hpp"
#include "core/text/byte_pair_encoder.hpp"
#include "core/text/clip_tokenizer_files.hpp"

namespace diffuse {

/// One prompt as the text encoder takes it.
struct Tokens {
  std::vector<std::int32_t> ids;  ///< [model_max_length]: start, tokens, end, padding
  int used = 0;                   ///< how many ids are not padding: start and end included
  bool truncated = false;         ///< the prompt has more tokens than there is room for
  std::string cut_text;           ///< the words cut off, in lower case, for a warning
};

/// The tokenizer of CLIP text models. Equal, id for id, to CLIPTokenizer of transformers 5.23
/// (tokenizers 0.23.3) for all text in code points of Unicode 15.0: added tokens are taken out;
/// NFC; lower case; words by `'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+`; byte-level
/// letters; byte-pair encoding with `</w>`. For code points after Unicode 15.0 the classes and
/// lower-case forms of the installed utf8proc hold (2.8.0: not letters, no lower case). Constant
/// after loading: any number of threads may use one.
class ClipTokenizer {
 public:
  /// Reads a `tokenizer` folder. Throws InputError(bad_model); see read_clip_tokenizer_files.
  static ClipTokenizer load(const std::filesystem::path& folder);

  /// `prompt` (UTF-8; an invalid byte counts as U+FFFD) cut and padded to model_max_length().
  [[nodiscard]] Tokens encode(std::string_view prompt) const;

  /// All tokens of `prompt`, without start, end, truncation and padding.
  [[nodiscard]] std::vector<std::int32_t> tokenize(std::string_view prompt) const;

  /// The text of `ids`, as transformers' `decode` gives it: words apart by one space.
  [[nodiscard]] std::string decode(const std::vector<std::int32_t>& ids) const;

  [[nodiscard]] int model_max_length() const { return model_max_length_; }
  /// Largest id + 1: the text encoder's embedding must have at least as many rows.
  [[nodiscard]] int vocab_size() const { return vocab_size_; }
  [[nodiscard]] std::int32_t bos_token_id() const { return bos_; }
  [[nodiscard]] std::int32_t eos_token_id() const { return eos_; }
  [[nodiscard]] std::int32_t pad_token_id() const { return pad_; }

 private:
  explicit ClipTokenizer(const ClipTokenizerFiles& files);
  void tokenize_words(const std::u32string& normalized, std::vector<std::int32_t>& ids) const;

  BytePairEncoder encoder_;
  AddedTokenMatcher raw_tokens_;
  AddedTokenMatcher normalized_tokens_;
  std::vector<std::string> token_bytes_;  // by id
  std::int32_t bos_;
  std::int32_t eos_;
  std::int32_t pad_;
  int model_max_length_;
  int vocab_size_;
};

}  // namespace diffuse
