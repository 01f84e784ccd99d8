#include "core/text/prompt_weights.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

namespace diffuse {
namespace {

constexpr double kBracketWeight = 1.1;
constexpr std::string_view kBreak = "BREAK";

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Bytes above 0x7F belong to letters, for the most part.
bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

/// Collects pieces while the brackets around them open and close.
class WeightParser {
 public:
  std::vector<WeightedText> parse(std::string_view prompt) {
    for (std::size_t at = 0; at < prompt.size();) at += step(prompt.substr(at));
    end_text();
    while (!round_.empty()) close(round_, kBracketWeight);
    while (!square_.empty()) close(square_, 1 / kBracketWeight);
    return merged();
  }

 private:
  /// Reads what `rest` begins with; returns its size.
  std::size_t step(std::string_view rest) {
    const char c = rest[0];
    if (c == '\\') {
      // An escape is a piece of its own, so that BREAK cannot be made of its neighbours.
      const bool escapes =
          rest.size() > 1 && std::string_view("()[]\\").find(rest[1]) != std::string_view::npos;
      end_text();
      if (escapes) pieces_.push_back({std::string(1, rest[1]), 1, false});
      return escapes ? 2 : 1;
    }
    if (c == '(' || c == '[') {
      end_text();
      (c == '(' ? round_ : square_).push_back(pieces_.size());
      return 1;
    }
    if (c == ':' && !round_.empty()) {
      if (const auto [size, weight] = weight_at(rest); size > 0) {
        end_text();
        close(round_, weight);
        return size;
      }
    }
    if ((c == ')' && !round_.empty()) || (c == ']' && !square_.empty())) {
      end_text();
      close(c == ')' ? round_ : square_, c == ')' ? kBracketWeight : 1 / kBracketWeight);
      return 1;
    }
    text_.push_back(c);
    return 1;
  }

  /// ": 1.3 )" and its number; size 0 if `rest` begins with something else.
  static std::pair<std::size_t, double> weight_at(std::string_view rest) {
    std::size_t at = 1;
    const auto skip = [&](auto is) {
      while (at < rest.size() && is(rest[at])) ++at;
    };
    skip(is_space);
    if (at < rest.size() && rest[at] == '+') ++at;
    const std::size_t begin = at;
    if (at < rest.size() && rest[at] == '-' && rest[at - 1] != '+') ++at;
    skip([](char c) { return c == '.' || (c >= '0' && c <= '9'); });
    const std::size_t end = at;
    skip(is_space);
    if (at == rest.size() || rest[at] != ')') return {0, 0};
    double weight = 0;
    const auto [read, error] = std::from_chars(rest.data() + begin, rest.data() + end, weight);
    if (error != std::errc() || read != rest.data() + end) return {0, 0};
    return {at + 1, weight};
  }

  void close(std::vector<std::size_t>& open, double factor) {
    for (std::size_t i = open.back(); i < pieces_.size(); ++i) pieces_[i].weight *= factor;
    open.pop_back();
  }

  /// The plain text so far becomes pieces, parted at BREAK.
  void end_text() {
    std::string text = std::exchange(text_, std::string());
    std::string_view rest = text;
    for (std::size_t from = 0;;) {
      const std::size_t at = rest.find(kBreak, from);
      if (at == std::string_view::npos) break;
      const std::size_t after = at + kBreak.size();
      if ((at > 0 && is_word(rest[at - 1])) || (after < rest.size() && is_word(rest[after]))) {
        from = after;
        continue;
      }
      std::size_t before = at;
      while (before > 0 && is_space(rest[before - 1])) --before;
      pieces_.push_back({std::string(rest.substr(0, before)), 1, false});
      pieces_.push_back({"", 1, true});
      rest.remove_prefix(after);
      while (!rest.empty() && is_space(rest[0])) rest.remove_prefix(1);
      from = 0;
    }
    if (!rest.empty()) pieces_.push_back({std::string(rest), 1, false});
  }

  std::vector<WeightedText> merged() {
    std::vector<WeightedText> out;
    for (WeightedText& piece : pieces_) {
      if (piece.is_break) piece.weight = 1;
      const bool joins = !out.empty() && !piece.is_break && !out.back().is_break &&
                         out.back().weight == piece.weight;
      if (joins) {
        out.back().text += piece.text;
      } else {
        out.push_back(std::move(piece));
      }
    }
    if (out.empty()) out.emplace_back();
    return out;
  }

  std::vector<WeightedText> pieces_;
  std::vector<std::size_t> round_, square_;  // index of the first piece inside each open bracket
  std::string text_;
};

/// Fills chunks with tokens.
class ChunkFiller {
 public:
  explicit ChunkFiller(const ClipTokenizer& tokenizer)
      : tokenizer_(tokenizer), room_(static_cast<std::size_t>(tokenizer.model_max_length()) - 2) {
    const std::vector<std::int32_t> comma = tokenizer.tokenize(",");
    if (comma.size() == 1) comma_ = comma[0];
  }

  void add(std::int32_t id, float weight) {
    if (id == comma_) {
      last_comma_ = ids_.size();
    } else if (ids_.size() == room_ && last_comma_ && room_ - *last_comma_ <= kCommaReach) {
      const auto keep = static_cast<std::ptrdiff_t>(*last_comma_ + 1);
      std::vector<std::int32_t> moved(ids_.begin() + keep, ids_.end());
      std::vector<float> moved_weights(weights_.begin() + keep, weights_.end());
      ids_.erase(ids_.begin() + keep, ids_.end());
      weights_.erase(weights_.begin() + keep, weights_.end());
      close();
      ids_ = std::move(moved);
      weights_ = std::move(moved_weights);
    }
    if (ids_.size() == room_) close();
    ids_.push_back(id);
    weights_.push_back(weight);
  }

  void close() {
    if (result_.chunks.size() == kMaxChunks) {
      cut_.insert(cut_.end(), ids_.begin(), ids_.end());
    } else {
      TokenChunk& chunk = result_.chunks.emplace_back();
      const auto length = static_cast<std::size_t>(tokenizer_.model_max_length());
      chunk.ids.push_back(tokenizer_.bos_token_id());
      chunk.ids.insert(chunk.ids.end(), ids_.begin(), ids_.end());
      chunk.ids.push_back(tokenizer_.eos_token_id());
      chunk.ids.resize(length, tokenizer_.pad_token_id());
      chunk.weights.push_back(1);
      chunk.weights.insert(chunk.weights.end(), weights_.begin(), weights_.end());
      chunk.weights.resize(length, 1);
    }
    ids_.clear();
    weights_.clear();
    last_comma_.reset();
  }

  WeightedTokens finish() {
    if (!ids_.empty() || result_.chunks.empty()) close();
    result_.cut_text = tokenizer_.decode(cut_);
    return std::move(result_);
  }

 private:
  static constexpr std::size_t kCommaReach = 20;

  const ClipTokenizer& tokenizer_;
  std::size_t room_;
  std::int32_t comma_ = -1;
  WeightedTokens result_;
  std::vector<std::int32_t> ids_, cut_;
  std::vector<float> weights_;
  std::optional<std::size_t> last_comma_;
};

}  // namespace

std::vector<WeightedText> parse_prompt_weights(std::string_view prompt) {
  return WeightParser().parse(prompt);
}

WeightedTokens weighted_tokens(const ClipTokenizer& tokenizer, std::string_view prompt) {
  ChunkFiller filler(tokenizer);
  for (const WeightedText& piece : parse_prompt_weights(prompt)) {
    if (piece.is_break) {
      filler.close();
      continue;
    }
    for (const std::int32_t id : tokenizer.tokenize(piece.text)) {
      filler.add(id, static_cast<float>(piece.weight));
    }
  }
  return filler.finish();
}

void apply_weights(std::span<const float> weights, std::span<float> hidden_states) {
  if (std::all_of(weights.begin(), weights.end(), [](float w) { return w == 1; })) return;
  const std::size_t width = hidden_states.size() / weights.size();
  double before = 0;
  double after = 0;
  for (std::size_t i = 0; i < hidden_states.size(); ++i) {
    before += double{hidden_states[i]};
    hidden_states[i] *= weights[i / width];
    after += double{hidden_states[i]};
  }
  if (after == 0) return;  // there is no factor that brings a mean back from 0
  const auto factor = static_cast<float>(before / after);
  for (float& value : hidden_states) value *= factor;
}

}  // namespace diffuse
