#include "core/text/clip_tokenizer_files.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/base/text.hpp"
#include "core/text/special_tokens.hpp"
#include "core/text/vocabulary_files.hpp"

namespace diffuse {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int kClipMaxLength = 77;
constexpr int kLongestMaxLength = 65536;
constexpr double kNoLimit = 1e20;  // transformers writes 1e30 for "no limit"

/// Gives each token its id: the vocabulary's, or the next after all others.
std::vector<AddedToken> assign_ids(const std::vector<WrittenToken>& tokens,
                                   const Vocabulary& vocabulary) {
  std::unordered_set<std::int32_t> taken;
  for (const auto& [content, id] : vocabulary) taken.insert(id);
  auto next = static_cast<std::int32_t>(vocabulary.size());
  std::vector<AddedToken> added;
  std::unordered_map<std::string, std::size_t> places;
  for (const WrittenToken& token : tokens) {
    const auto known = vocabulary.find(token.content);
    const auto [place, is_new] = places.emplace(token.content, added.size());
    if (is_new) {
      if (known == vocabulary.end() && !taken.insert(next).second) {
        refuse_tokenizer(token.file, "adds the token '" + printable(token.content, 60) +
                                         "' although its id, " + std::to_string(next) +
                                         ", belongs to another: the vocabulary has gaps");
      }
      added.push_back({token.content, false, known == vocabulary.end() ? next++ : known->second});
    }
    AddedToken& entry = added[place->second];
    entry.normalized = token.normalized;  // of several entries for one token the last counts
    if (token.id >= 0 && token.id != entry.id) {
      refuse_tokenizer(token.file, "gives the token '" + printable(token.content, 60) +
                                       "' the id " + std::to_string(token.id) +
                                       ", but the vocabulary makes it " + std::to_string(entry.id));
    }
  }
  return added;
}

int max_length_of(const json& config, const fs::path& file) {
  for (const char* key : {"model_max_length", "max_len"}) {
    const auto at = config.find(key);
    if (at == config.end() || at->is_null()) continue;
    const double value = at->is_number() ? at->get<double>() : -1;
    if (value > kNoLimit) return kClipMaxLength;
    if (!(value >= 2 && value <= kLongestMaxLength) || !at->is_number_integer()) {
      refuse_tokenizer(file, std::string("gives '") + key +
                                 "' a value that is no whole number from 2 to " +
                                 std::to_string(kLongestMaxLength));
    }
    return at->get<int>();
  }
  return kClipMaxLength;
}

/// Options that would change the ids and that this tokenizer does not have.
void refuse_unsupported(const json& config, const fs::path& config_file, const json& tokenizer,
                        const fs::path& tokenizer_file) {
  for (const char* key : {"padding_side", "truncation_side"}) {
    if (config.contains(key) && config[key] != "right") {
      refuse_tokenizer(config_file, std::string("asks for a '") + key +
                                        "' other than \"right\", which is not supported");
    }
  }
  if (flag_of(config, "split_special_tokens", false, config_file)) {
    refuse_tokenizer(config_file, "asks for 'split_special_tokens', which is not supported");
  }
  if (!tokenizer.is_object()) return;
  for (const char* key : {"padding", "truncation"}) {
    const json section = tokenizer.value(key, json());
    if (section.is_object() && section.value("direction", json("Right")) != "Right") {
      refuse_tokenizer(tokenizer_file,
                       std::string("asks for ") + key + " on the left, which is not supported");
    }
  }
}

}  // namespace

ClipTokenizerFiles read_clip_tokenizer_files(const fs::path& folder) {
  const json tokenizer = read_tokenizer_json(folder);
  VocabularyFiles vocabulary = read_vocabulary_files(folder, tokenizer);
  const SpecialTokens special(folder, tokenizer);
  refuse_unsupported(special.config(), special.config_file(), tokenizer,
                     vocabulary.vocabulary_file);

  ClipTokenizerFiles files;
  files.added_tokens = assign_ids(special.in_order(), vocabulary.vocabulary);
  files.model_max_length = max_length_of(special.config(), special.config_file());
  std::int32_t largest = -1;
  for (const auto& [token, id] : vocabulary.vocabulary) largest = std::max(largest, id);
  for (const AddedToken& token : files.added_tokens) largest = std::max(largest, token.id);
  files.vocab_size = largest + 1;

  const auto id_of = [&](const char* key) {
    const auto named = special.named().find(key);
    if (named == special.named().end()) {
      refuse_tokenizer(special.config_file(), std::string("sets '") + key + "' to null");
    }
    const auto added = std::find_if(
        files.added_tokens.begin(), files.added_tokens.end(),
        [&](const AddedToken& token) { return token.content == named->second.content; });
    return added->id;
  };
  files.bos = id_of("bos_token");
  files.eos = id_of("eos_token");
  files.pad = id_of("pad_token");
  files.unknown = id_of("unk_token");
  if (vocabulary.vocabulary.count(special.named().at("unk_token").content) == 0) {
    refuse_tokenizer(vocabulary.vocabulary_file, "does not hold the 'unk_token' of the model");
  }
  files.vocabulary = std::move(vocabulary.vocabulary);
  files.merges = std::move(vocabulary.merges);
  files.merges_file = vocabulary.merges_file.string();
  return files;
}

}  // namespace diffuse
