#pragma once

#include <string>
#include <string_view>

namespace diffuse::unicode {

/// UTF-8 to code points. Every byte that is part of no valid sequence (overlong forms, surrogates
/// and values above U+10FFFF included) becomes one U+FFFD.
std::u32string decode_utf8(std::string_view text);

/// Code points to UTF-8. Code points must be valid.
std::string encode_utf8(std::u32string_view text);

/// Normalization form C with the tables of Unicode 9.0: what the `tokenizers` library 0.23
/// computes. It differs from NFC of Unicode 15.0 for combining marks that came later (they reorder
/// and block nothing) and for the one later composition U+11935 U+11930. O(n log n). Source:
/// Unicode Standard Annex 15.
std::u32string nfc(std::u32string_view text);

/// Lower case, character by character and full (U+0130 becomes two), without context: the final
/// sigma rule does not apply. Source: `to_lowercase` of Rust's char.
std::u32string lower(std::u32string_view text);

/// What the tokenizer's regular expressions tell apart: \s (White_Space), \p{L}, \p{N}, the rest.
enum class Class { space, letter, number, other };
Class classify(char32_t c);

}  // namespace diffuse::unicode
