#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace diffuse {

/// Finds added tokens in a text: the leftmost match, of several there the longest, then on behind
/// it.
class AddedTokenMatcher {
 public:
  struct Piece {
    std::u32string text;
    std::int32_t id;  ///< -1 for text between tokens
  };

  /// `content` must not be empty. Of two equal contents the later counts.
  void add(std::u32string content, std::int32_t id);

  /// `text` cut into tokens and the text between them; no piece is empty.
  [[nodiscard]] std::vector<Piece> split(const std::u32string& text) const;

 private:
  std::unordered_map<std::u32string, std::int32_t> ids_;
  std::vector<std::size_t> lengths_;  // of the contents: distinct, longest first
  std::u32string first_letters_;      // sorted
};

}  // namespace diffuse
