#include "core/pipeline/text_phase.hpp"

#include <algorithm>
#include <iterator>
#include <set>

namespace diffuse {
namespace {

constexpr std::size_t kRememberedTexts = 64;
constexpr std::size_t kChunksAtOnce = 16;

}  // namespace

TextPhase::TextPhase(Ops& ops, Arena& arena, const ClipTextModel& model,
                     const ClipTokenizer& tokenizer)
    : ops_(ops), arena_(arena), model_(model), tokenizer_(tokenizer) {}

TextPhase::Recording& TextPhase::recording(std::int64_t entries, int clip_skip) {
  const auto key = std::make_pair(entries, clip_skip);
  if (const auto found = recordings_.find(key); found != recordings_.end()) return found->second;
  const std::int64_t tokens = tokenizer_.model_max_length();
  Tensor ids = ops_.make(DType::i32, {entries, tokens});
  Tensor out = ops_.make(DType::f32, {entries, tokens, model_.config().hidden_size});
  Program program =
      Program::record(ops_, [&] { ops_.copy(model_.forward(ops_, ids, clip_skip), out); });
  return recordings_.emplace(key, Recording{ids, out, std::move(program)}).first->second;
}

Program& TextPhase::program(std::int64_t entries, int clip_skip) {
  return recording(entries, clip_skip).program;
}

std::vector<TokenChunk> TextPhase::chunks_of(const std::string& text, bool weighting) const {
  if (weighting) return weighted_tokens(tokenizer_, text).chunks;
  return {{tokenizer_.encode(text).ids, {}}};
}

std::vector<std::vector<float>> TextPhase::encode_chunks(std::span<const TokenChunk> chunks,
                                                         int clip_skip) {
  std::vector<std::int32_t> ids;
  for (const TokenChunk& chunk : chunks) ids.insert(ids.end(), chunk.ids.begin(), chunk.ids.end());
  Recording& r = recording(static_cast<std::int64_t>(chunks.size()), clip_skip);
  ops_.write(ids, r.ids);
  const auto range = ops_.range("encoding");
  r.program.run(ops_.backend(), arena_);

  const std::vector<float> all = ops_.download(r.out);
  const auto each = static_cast<std::ptrdiff_t>(all.size() / chunks.size());
  std::vector<std::vector<float>> out;
  for (auto begin = all.begin(); begin != all.end(); begin += each) {
    std::vector<float>& one = out.emplace_back(begin, begin + each);
    const std::vector<float>& weights = chunks[out.size() - 1].weights;
    if (!weights.empty()) apply_weights(weights, one);
  }
  return out;
}

void TextPhase::encode_fresh(int clip_skip, std::span<const std::pair<std::string, bool>> texts) {
  // Chunks of all texts together; which text each belongs to is known by the counts.
  std::vector<TokenChunk> chunks;
  std::vector<std::size_t> counts;
  for (const auto& [text, weighting] : texts) {
    std::vector<TokenChunk> of_text = chunks_of(text, weighting);
    counts.push_back(of_text.size());
    std::move(of_text.begin(), of_text.end(), std::back_inserter(chunks));
  }
  std::vector<std::vector<float>> states;
  for (std::size_t at = 0; at < chunks.size(); at += kChunksAtOnce) {
    const std::size_t count = std::min(kChunksAtOnce, chunks.size() - at);
    auto some = encode_chunks(std::span(chunks).subspan(at, count), clip_skip);
    std::move(some.begin(), some.end(), std::back_inserter(states));
  }

  auto next = states.begin();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto one = std::make_shared<Conditioning>();
    one->tokens = tokenizer_.model_max_length() * static_cast<std::int64_t>(counts[i]);
    one->width = model_.config().hidden_size;
    for (std::size_t k = 0; k < counts[i]; ++k, ++next) {
      one->sequence.insert(one->sequence.end(), next->begin(), next->end());
    }
    known_[{texts[i].first, clip_skip, texts[i].second}] = std::move(one);
  }
}

std::shared_ptr<const Conditioning> TextPhase::lengthened(const Conditioning& shorter,
                                                          std::int64_t tokens, int clip_skip) {
  const Request nothing{"", clip_skip, false};
  const std::shared_ptr<const Conditioning> empty = encode({&nothing, 1}).front();
  auto longer = std::make_shared<Conditioning>(shorter);
  while (longer->tokens < tokens) {
    longer->sequence.insert(longer->sequence.end(), empty->sequence.begin(), empty->sequence.end());
    longer->tokens += empty->tokens;
  }
  return longer;
}

void TextPhase::match_lengths(std::shared_ptr<const Conditioning>& negative, int negative_clip_skip,
                              std::shared_ptr<const Conditioning>& positive,
                              int positive_clip_skip) {
  if (negative->tokens < positive->tokens) {
    negative = lengthened(*negative, positive->tokens, negative_clip_skip);
  } else if (positive->tokens < negative->tokens) {
    positive = lengthened(*positive, negative->tokens, positive_clip_skip);
  }
}

std::vector<std::shared_ptr<const Conditioning>> TextPhase::encode(
    std::span<const Request> requests) {
  // Forget texts that nobody asks for now, once too many are remembered.
  std::set<std::tuple<std::string, int, bool>> wanted;
  for (const Request& r : requests) wanted.emplace(r.text, r.clip_skip, r.weighting);
  for (auto it = known_.begin(); known_.size() > kRememberedTexts && it != known_.end();) {
    it = wanted.count(it->first) != 0 ? std::next(it) : known_.erase(it);
  }

  // Encode what is new, texts of equal clip_skip together.
  std::map<int, std::vector<std::pair<std::string, bool>>> fresh;
  for (const auto& key : wanted) {
    const auto& [text, clip_skip, weighting] = key;
    if (known_.count(key) == 0) fresh[clip_skip].emplace_back(text, weighting);
  }
  for (const auto& [clip_skip, texts] : fresh) encode_fresh(clip_skip, texts);

  std::vector<std::shared_ptr<const Conditioning>> out;
  for (const Request& r : requests) {
    out.push_back(known_.at({r.text, r.clip_skip, r.weighting}));
  }
  return out;
}

}  // namespace diffuse
