#include "core/pipeline/text_phase.hpp"

#include <algorithm>
#include <set>

namespace diffuse {
namespace {

constexpr std::size_t kRememberedTexts = 64;
constexpr std::size_t kTextsAtOnce = 16;

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

void TextPhase::encode_group(std::span<const std::string> texts, int clip_skip) {
  std::vector<std::int32_t> ids;
  for (const std::string& text : texts) {
    const Tokens tokens = tokenizer_.encode(text);
    ids.insert(ids.end(), tokens.ids.begin(), tokens.ids.end());
  }
  Recording& r = recording(static_cast<std::int64_t>(texts.size()), clip_skip);
  ops_.write(ids, r.ids);
  r.program.run(ops_.backend(), arena_);

  const std::vector<float> all = ops_.download(r.out);
  const std::size_t each = all.size() / texts.size();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto one = std::make_shared<Conditioning>();
    one->tokens = tokenizer_.model_max_length();
    one->width = model_.config().hidden_size;
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(i * each);
    one->sequence.assign(begin, begin + static_cast<std::ptrdiff_t>(each));
    known_[{texts[i], clip_skip}] = std::move(one);
  }
}

std::vector<std::shared_ptr<const Conditioning>> TextPhase::encode(
    std::span<const Request> requests) {
  // Forget texts that nobody asks for now, once too many are remembered.
  std::set<std::pair<std::string, int>> wanted;
  for (const Request& request : requests) wanted.emplace(request.text, request.clip_skip);
  for (auto it = known_.begin(); known_.size() > kRememberedTexts && it != known_.end();) {
    it = wanted.count(it->first) != 0 ? std::next(it) : known_.erase(it);
  }

  // Encode what is new, texts of equal clip_skip together.
  std::map<int, std::vector<std::string>> fresh;
  for (const auto& [text, clip_skip] : wanted) {
    if (known_.count({text, clip_skip}) == 0) fresh[clip_skip].push_back(text);
  }
  for (const auto& [clip_skip, texts] : fresh) {
    for (std::size_t at = 0; at < texts.size(); at += kTextsAtOnce) {
      const std::size_t count = std::min(kTextsAtOnce, texts.size() - at);
      encode_group(std::span(texts).subspan(at, count), clip_skip);
    }
  }

  std::vector<std::shared_ptr<const Conditioning>> out;
  for (const Request& request : requests)
    out.push_back(known_.at({request.text, request.clip_skip}));
  return out;
}

}  // namespace diffuse
