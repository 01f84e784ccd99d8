#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/clip_tokenizer.hpp"

namespace diffuse {

/// A piece of a prompt whose tokens weigh the same.
struct WeightedText {
  std::string text;
  double weight = 1;
  bool is_break = false;  ///< the word BREAK, which closes a chunk; it has no text

  bool operator==(const WeightedText&) const = default;
};

/// Reads the weights of a prompt in the syntax of the Stable Diffusion web UI:
///   (x)      weight times 1.1         [x]   weight times 1 / 1.1
///   (x:1.3)  weight times 1.3         nested brackets multiply
///   \( \) \[ \] \\                    these characters themselves
/// Brackets left open reach to the end; closing ones without an open one are text; a backslash
/// before another character vanishes; a weight that is no finite number is text. BREAK as a word of
/// its own closes a chunk, inside brackets too. Neighbours of equal weight are one piece. Never
/// empty. Source: the web UI's published rules.
std::vector<WeightedText> parse_prompt_weights(std::string_view prompt);

/// model_max_length tokens for one pass of the text encoder.
struct TokenChunk {
  std::vector<std::int32_t> ids;  ///< start, up to model_max_length - 2 tokens, end, padding
  std::vector<float> weights;     ///< of each id; start, end and padding weigh 1
};

/// A prompt of any length, in chunks.
struct WeightedTokens {
  std::vector<TokenChunk> chunks;  ///< at least one
  std::string cut_text;            ///< what lies beyond the last chunk that there may be
};

/// The most chunks of one prompt: hostile ones would take all memory.
inline constexpr std::size_t kMaxChunks = 16;

/// Pieces are tokenised apart and fill chunks in order. A chunk is full at model_max_length - 2
/// tokens; if one of its last 20 is a comma, what follows the last comma moves on to the next
/// chunk. BREAK closes a chunk, also an empty one.
WeightedTokens weighted_tokens(const ClipTokenizer& tokenizer, std::string_view prompt);

/// hidden_states [weights.size(), width] of one chunk: each row times its weight, then all rows
/// times what gives them the mean that they had. Nothing changes if all weights are 1.
void apply_weights(std::span<const float> weights, std::span<float> hidden_states);

}  // namespace diffuse
