#include "core/text/clip_tokenizer.hpp"

#include <array>
#include <cstddef>
#include <utility>

#include "core/text/unicode.hpp"

namespace diffuse {
namespace {

using unicode::Class;

constexpr std::array<std::u32string_view, 7> kContractions{U"'s", U"'t",  U"'re", U"'ve",
                                                           U"'m", U"'ll", U"'d"};
/// Alternatives of the split expression that the byte-level step then splits again.
constexpr std::array<std::u32string_view, 2> kSpecialWords{U"<|startoftext|>", U"<|endoftext|>"};
constexpr std::size_t kSpecialEdge = 2;  // "<|" and "|>"

bool starts_with(std::u32string_view text, std::u32string_view what) {
  return text.substr(0, what.size()) == what;
}

/// Lengths of the words at the start of `text`, which begins with no white space: three for a
/// special that was not recognised as a token (upper case in the prompt), one for all else.
std::array<std::size_t, 3> words_at(std::u32string_view text) {
  for (const std::u32string_view special : kSpecialWords) {
    if (starts_with(text, special)) {
      return {kSpecialEdge, special.size() - 2 * kSpecialEdge, kSpecialEdge};
    }
  }
  for (const std::u32string_view contraction : kContractions) {
    if (starts_with(text, contraction)) return {contraction.size(), 0, 0};
  }
  const Class first = unicode::classify(text[0]);
  std::size_t length = 1;
  if (first != Class::number) {
    while (length < text.size() && unicode::classify(text[length]) == first) ++length;
  }
  return {length, 0, 0};
}

/// NFC, every run of white space one space, lower case.
std::u32string normalize(const std::u32string& text) {
  std::u32string out;
  for (const char32_t c : unicode::nfc(text)) {
    if (unicode::classify(c) != Class::space) {
      out.push_back(c);
    } else if (out.empty() || out.back() != U' ') {
      out.push_back(U' ');
    }
  }
  return unicode::lower(out);
}

/// Valid UTF-8: every byte that belongs to no character becomes U+FFFD.
std::string repaired(std::string_view bytes) {
  return unicode::encode_utf8(unicode::decode_utf8(bytes));
}

}  // namespace

ClipTokenizer ClipTokenizer::load(const std::filesystem::path& folder) {
  return ClipTokenizer(read_clip_tokenizer_files(folder));
}

ClipTokenizer::ClipTokenizer(const ClipTokenizerFiles& files)
    : encoder_(files.vocabulary, files.merges, files.unknown, files.merges_file),
      token_bytes_(static_cast<std::size_t>(files.vocab_size)),
      bos_(files.bos),
      eos_(files.eos),
      pad_(files.pad),
      model_max_length_(files.model_max_length),
      vocab_size_(files.vocab_size) {
  for (const auto& [token, id] : files.vocabulary) {
    token_bytes_[static_cast<std::size_t>(id)] = bytes_of_token(token);
  }
  for (const AddedToken& token : files.added_tokens) {
    token_bytes_[static_cast<std::size_t>(token.id)] = bytes_of_token(token.content);
    const std::u32string content = unicode::decode_utf8(token.content);
    if (token.normalized) {
      normalized_tokens_.add(normalize(content), token.id);
    } else {
      raw_tokens_.add(content, token.id);
    }
  }
}

void ClipTokenizer::tokenize_words(const std::u32string& normalized,
                                   std::vector<std::int32_t>& ids) const {
  std::u32string_view rest = normalized;
  while (!rest.empty()) {
    if (unicode::classify(rest[0]) == Class::space) {
      rest.remove_prefix(1);
      continue;
    }
    for (const std::size_t length : words_at(rest)) {
      encoder_.encode(unicode::encode_utf8(rest.substr(0, length)), ids);
      rest.remove_prefix(length);
    }
  }
}

std::vector<std::int32_t> ClipTokenizer::tokenize(std::string_view prompt) const {
  std::vector<std::int32_t> ids;
  for (const auto& raw : raw_tokens_.split(unicode::decode_utf8(prompt))) {
    if (raw.id >= 0) {
      ids.push_back(raw.id);
      continue;
    }
    const std::u32string normalized = normalize(raw.text);
    for (const auto& piece : normalized_tokens_.split(normalized)) {
      if (piece.id >= 0) {
        ids.push_back(piece.id);
      } else {
        tokenize_words(piece.text, ids);
      }
    }
  }
  return ids;
}

Tokens ClipTokenizer::encode(std::string_view prompt) const {
  std::vector<std::int32_t> words = tokenize(prompt);
  Tokens tokens;
  const auto room = static_cast<std::size_t>(model_max_length_) - 2;
  if (words.size() > room) {
    const auto cut = words.begin() + static_cast<std::ptrdiff_t>(room);
    tokens.truncated = true;
    tokens.cut_text = decode({cut, words.end()});
    words.erase(cut, words.end());
  }
  tokens.ids.reserve(static_cast<std::size_t>(model_max_length_));
  tokens.ids.push_back(bos_);
  tokens.ids.insert(tokens.ids.end(), words.begin(), words.end());
  tokens.ids.push_back(eos_);
  tokens.used = static_cast<int>(tokens.ids.size());
  tokens.ids.resize(static_cast<std::size_t>(model_max_length_), pad_);
  return tokens;
}

std::string ClipTokenizer::decode(const std::vector<std::int32_t>& ids) const {
  constexpr std::string_view kEndOfWord = "</w>";
  std::string bytes;
  for (const std::int32_t id : ids) {
    if (id >= 0 && id < vocab_size_) bytes += token_bytes_[static_cast<std::size_t>(id)];
  }
  std::string text;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = bytes.find(kEndOfWord, begin)) != std::string::npos;) {
    text.append(bytes, begin, end - begin).push_back(' ');
    begin = end + kEndOfWord.size();
  }
  text.append(bytes, begin);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return repaired(text);
}

}  // namespace diffuse
