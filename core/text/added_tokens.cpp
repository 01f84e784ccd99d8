#include "core/text/added_tokens.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>

namespace diffuse {

void AddedTokenMatcher::add(std::u32string content, std::int32_t id) {
  const auto length = std::lower_bound(lengths_.begin(), lengths_.end(), content.size(),
                                       std::greater<std::size_t>());
  if (length == lengths_.end() || *length != content.size()) {
    lengths_.insert(length, content.size());
  }
  const auto first = std::lower_bound(first_letters_.begin(), first_letters_.end(), content[0]);
  if (first == first_letters_.end() || *first != content[0]) {
    first_letters_.insert(first, content[0]);
  }
  ids_[std::move(content)] = id;
}

std::vector<AddedTokenMatcher::Piece> AddedTokenMatcher::split(const std::u32string& text) const {
  std::vector<Piece> pieces;
  std::size_t begin = 0;  // of the text since the last token
  std::size_t at = 0;
  const auto id_at = [&](std::size_t length) {
    if (length > text.size() - at) return std::int32_t{-1};
    const auto found = ids_.find(text.substr(at, length));
    return found == ids_.end() ? std::int32_t{-1} : found->second;
  };
  while (at < text.size()) {
    std::size_t used = 0;
    if (std::binary_search(first_letters_.begin(), first_letters_.end(), text[at])) {
      for (const std::size_t length : lengths_) {
        const std::int32_t id = id_at(length);
        if (id < 0) continue;
        if (begin < at) pieces.push_back({text.substr(begin, at - begin), -1});
        pieces.push_back({text.substr(at, length), id});
        used = length;
        break;
      }
    }
    at += used > 0 ? used : 1;
    if (used > 0) begin = at;
  }
  if (begin < text.size()) pieces.push_back({text.substr(begin), -1});
  return pieces;
}

}  // namespace diffuse
