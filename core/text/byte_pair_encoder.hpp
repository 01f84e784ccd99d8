#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace diffuse {

/// Token string to id.
using Vocabulary = std::unordered_map<std::string, std::int32_t>;
/// The two parts of each merge, best rank first.
using Merges = std::vector<std::pair<std::string, std::string>>;

/// The 256 letters (UTF-8 strings of one printable character) that stand for byte values in token
/// strings. Source: GPT-2 `bytes_to_unicode`.
const std::array<std::string, 256>& byte_letters();

/// Token string back to bytes: letters to their bytes, or the string itself if it holds another
/// character. Source: the ByteLevel decoder of the tokenizers library.
std::string bytes_of_token(std::string_view token);

/// Byte-level byte-pair encoding with the end-of-word mark `</w>`: a word's bytes become letters,
/// the last one with the mark, and the pair of best rank (the leftmost of equals) is joined until
/// none is left. Letters that the vocabulary lacks become the unknown token. Source: Sennrich et
/// al. 2016, arXiv:1508.07909; `models/bpe` of the tokenizers library.
class BytePairEncoder {
 public:
  /// `unknown` is the id of the unknown token. Throws InputError(bad_model), naming `file`, for a
  /// merge whose parts or whole are not in the vocabulary. Of two equal merges the later counts.
  BytePairEncoder(const Vocabulary& vocabulary, const Merges& merges, std::int32_t unknown,
                  const std::string& file);

  /// Appends the ids of one word (UTF-8 bytes) to `ids`. O(n log n) for n bytes.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  struct Merge {
    std::int32_t rank;
    std::int32_t id;
  };
  [[nodiscard]] const Merge* find(std::int32_t left, std::int32_t right) const;

  std::unordered_map<std::uint64_t, Merge> merges_;
  std::array<std::int32_t, 256> inner_{};  // byte to id, inside a word
  std::array<std::int32_t, 256> last_{};   // byte to id, at a word's end
};

}  // namespace diffuse
