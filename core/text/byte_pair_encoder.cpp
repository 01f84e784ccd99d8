#include "core/text/byte_pair_encoder.hpp"

#include <cstddef>
#include <queue>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/text/unicode.hpp"

namespace diffuse {
namespace {

constexpr std::string_view kEndOfWord = "</w>";

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
         static_cast<std::uint32_t>(right);
}

bool stands_for_itself(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

std::array<std::string, 256> make_byte_letters() {
  std::array<std::string, 256> letters;
  char32_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char32_t letter = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
    letters[byte] = unicode::encode_utf8(std::u32string(1, letter));
  }
  return letters;
}

/// A symbol of the word being merged: a doubly linked list inside a vector; `id` < 0 is a removed
/// one.
struct Symbol {
  std::int32_t id;
  std::ptrdiff_t previous;
  std::ptrdiff_t next;
};

struct Candidate {
  std::int32_t rank;
  std::ptrdiff_t position;
  std::int32_t id;
  /// Order of the queue: smallest rank first, then leftmost.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

const std::array<std::string, 256>& byte_letters() {
  static const std::array<std::string, 256> letters = make_byte_letters();
  return letters;
}

std::string bytes_of_token(std::string_view token) {
  static const auto bytes = [] {
    std::unordered_map<char32_t, char> map;
    for (unsigned byte = 0; byte < 256; ++byte) {
      map[unicode::decode_utf8(byte_letters()[byte]).front()] = static_cast<char>(byte);
    }
    return map;
  }();
  std::string out;
  for (const char32_t letter : unicode::decode_utf8(token)) {
    const auto at = bytes.find(letter);
    if (at == bytes.end()) return std::string(token);
    out.push_back(at->second);
  }
  return out;
}

BytePairEncoder::BytePairEncoder(const Vocabulary& vocabulary, const Merges& merges,
                                 std::int32_t unknown, const std::string& file) {
  const auto id_or = [&vocabulary](const std::string& token, std::int32_t otherwise) {
    const auto at = vocabulary.find(token);
    return at == vocabulary.end() ? otherwise : at->second;
  };
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const std::string& letter = byte_letters()[byte];
    inner_[byte] = id_or(letter, unknown);
    last_[byte] = id_or(letter + std::string(kEndOfWord), unknown);
  }
  merges_.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const std::int32_t left_id = id_or(left, -1);
    const std::int32_t right_id = id_or(right, -1);
    const std::int32_t whole_id = id_or(left + right, -1);
    if (left_id < 0 || right_id < 0 || whole_id < 0) {
      throw InputError(ExitCode::bad_model,
                       "tokenizer file '" + printable(file) + "': merge " +
                           std::to_string(rank + 1) + " ('" + printable(left) + "' + '" +
                           printable(right) +
                           "') uses a token that the vocabulary does not hold, so prompts would be"
                           " split wrongly; vocabulary and merges must come from one model");
    }
    merges_[pair_key(left_id, right_id)] = {static_cast<std::int32_t>(rank), whole_id};
  }
}

const BytePairEncoder::Merge* BytePairEncoder::find(std::int32_t left, std::int32_t right) const {
  const auto at = merges_.find(pair_key(left, right));
  return at == merges_.end() ? nullptr : &at->second;
}

void BytePairEncoder::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  const auto size = static_cast<std::ptrdiff_t>(word.size());
  std::vector<Symbol> symbols(word.size());
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const auto byte = static_cast<unsigned char>(word[at]);
    symbols[at] = {i + 1 == size ? last_[byte] : inner_[byte], i - 1, i + 1 == size ? -1 : i + 1};
  }
  const auto symbol = [&symbols](std::ptrdiff_t i) -> Symbol& {
    return symbols[static_cast<std::size_t>(i)];
  };

  std::priority_queue<Candidate> queue;
  const auto offer = [&](std::ptrdiff_t left, std::ptrdiff_t right) {
    if (left < 0 || right < 0) return;
    if (const Merge* merge = find(symbol(left).id, symbol(right).id)) {
      queue.push({merge->rank, left, merge->id});
    }
  };
  for (std::ptrdiff_t i = 0; i + 1 < size; ++i) offer(i, i + 1);

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbol(best.position);
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbol(left.next);
    // An entry is stale if the pair now there makes another token; as in the library, its rank may
    // differ.
    const Merge* merge = find(left.id, right.id);
    if (merge == nullptr || merge->id != best.id) continue;
    left.id = best.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbol(left.next).previous = best.position;
    offer(left.previous, best.position);
    offer(best.position, left.next);
  }
  for (std::ptrdiff_t i = size > 0 ? 0 : -1; i >= 0; i = symbol(i).next)
    ids.push_back(symbol(i).id);
}

}  // namespace diffuse
