#include "core/text/special_tokens.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "core/base/json_file.hpp"
#include "core/base/text.hpp"
#include "core/text/vocabulary_files.hpp"

namespace diffuse {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::size_t kMaxAddedTokens = 100'000;
constexpr std::size_t kMaxExtraTokens = 1000;
constexpr std::size_t kMaxContentBytes = 512;
/// In the order in which transformers adds them.
constexpr std::array<std::string_view, 7> kNamedTokens{
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

WrittenToken to_token(const json& value, bool special, const fs::path& file) {
  WrittenToken token;
  token.file = file;
  token.plain = value.is_string();
  if (token.plain) {
    token.content = value.get<std::string>();
  } else if (value.is_object() && value.contains("content") && value["content"].is_string()) {
    token.content = value["content"].get<std::string>();
    special = flag_of(value, "special", special, file);
    token.normalized = flag_of(value, "normalized", !special, file);
    if (flag_of(value, "single_word", false, file)) {
      refuse_tokenizer(file, "asks for 'single_word' in token '" + printable(token.content, 60) +
                                 "', which is not supported");
    }
  } else {
    refuse_tokenizer(file, "has a special token that is neither text nor an object with 'content'");
  }
  if (token.content.empty() || token.content.size() > kMaxContentBytes) {
    refuse_tokenizer(file, "has a special token that is empty or longer than " +
                               std::to_string(kMaxContentBytes) + " bytes");
  }
  return token;
}

json read_object(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return json::object();
  return read_json_object(file);
}

}  // namespace

bool flag_of(const json& object, const char* key, bool otherwise, const fs::path& file) {
  const auto at = object.find(key);
  if (at == object.end() || at->is_null()) return otherwise;
  if (!at->is_boolean()) {
    refuse_tokenizer(file, std::string("gives '") + key + "' no true or false");
  }
  return at->get<bool>();
}

SpecialTokens::SpecialTokens(const fs::path& folder, const json& tokenizer)
    : folder_(folder),
      config_file_(folder / "tokenizer_config.json"),
      config_(read_object(config_file_)) {
  read_named(config_, config_file_);
  if (config_.contains("added_tokens_decoder")) {
    read_decoder();
  } else {
    const fs::path map_file = folder / "special_tokens_map.json";
    const json map = read_object(map_file);
    read_named(map, map_file);
    read_legacy_added_tokens();
    read_tokenizer_added_tokens(tokenizer);
  }
  set_defaults();
}

std::vector<WrittenToken> SpecialTokens::in_order() const {
  std::vector<WrittenToken> tokens;
  std::unordered_set<std::string> decoded;
  for (const auto& [id, token] : decoder_) {
    tokens.push_back(token);
    decoded.insert(token.content);
  }
  const std::size_t first_named = tokens.size();
  const auto add = [&](const WrittenToken& token) {
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(first_named);
    if (decoded.count(token.content) != 0) return;
    if (std::find(begin, tokens.end(), token) == tokens.end()) tokens.push_back(token);
  };
  for (const std::string_view key : kNamedTokens) {
    if (const auto at = named_.find(std::string(key)); at != named_.end()) add(at->second);
  }
  for (const auto& [key, token] : named_) {
    if (std::find(kNamedTokens.begin(), kNamedTokens.end(), key) == kNamedTokens.end()) add(token);
  }
  for (const WrittenToken& token : extra_) add(token);
  return tokens;
}

void SpecialTokens::read_named(const json& object, const fs::path& file) {
  constexpr std::string_view kSuffix = "_token";
  for (const auto& [key, value] : object.items()) {
    const bool extra = key == "extra_special_tokens" || key == "additional_special_tokens";
    if (extra && (value.is_array() || value.is_object())) {
      if (value.size() > kMaxExtraTokens) {
        refuse_tokenizer(file, "lists more than " + std::to_string(kMaxExtraTokens) +
                                   " tokens in '" + key + "'");
      }
      for (const json& entry : value) extra_.push_back(to_token(entry, true, file));
      continue;
    }
    const bool is_token = key.size() > kSuffix.size() &&
                          key.compare(key.size() - kSuffix.size(), kSuffix.size(), kSuffix) == 0;
    if (!is_token || value.is_boolean()) continue;  // add_bos_token and its like are flags
    if (value.is_null()) {
      named_.erase(key);
      dropped_.insert(key);
    } else {
      named_[key] = to_token(value, true, file);
      dropped_.erase(key);
    }
  }
}

void SpecialTokens::set_defaults() {
  // What CLIPTokenizer takes where the files are silent.
  const auto otherwise = [this](const std::string& key, const char* content) {
    if (named_.count(key) == 0 && dropped_.count(key) == 0) {
      named_[key] = {content, false, true, -1, folder_};
    }
  };
  otherwise("bos_token", "<|startoftext|>");
  otherwise("eos_token", "<|endoftext|>");
  otherwise("unk_token", "<|endoftext|>");
  otherwise("pad_token", "<|endoftext|>");
}

void SpecialTokens::add_decoded(std::int64_t id, WrittenToken token) {
  token.id = id;
  if (decoder_.size() >= kMaxAddedTokens) refuse_tokenizer(token.file, "adds too many tokens");
  decoder_[id] = std::move(token);
}

void SpecialTokens::read_decoder() {
  const json& decoder = config_["added_tokens_decoder"];
  if (!decoder.is_object()) refuse_tokenizer(config_file_, "has no object 'added_tokens_decoder'");
  for (const auto& [key, value] : decoder.items()) {
    std::int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || !value.is_object()) {
      refuse_tokenizer(config_file_,
                       "has the entry '" + printable(key, 60) +
                           "' in 'added_tokens_decoder', which is no id with a token");
    }
    add_decoded(id, to_token(value, false, config_file_));
  }
}

void SpecialTokens::read_legacy_added_tokens() {
  const fs::path file = folder_ / "added_tokens.json";
  std::unordered_set<std::string> special;
  for (const auto& [key, token] : named_) special.insert(token.content);
  for (const WrittenToken& token : extra_) special.insert(token.content);
  const json tokens = read_object(file);
  for (const auto& [content, id] : tokens.items()) {
    if (!id.is_number_integer() || id < 0) {
      refuse_tokenizer(file, "gives token '" + printable(content, 60) + "' no id");
    }
    WrittenToken token = to_token(json(content), true, file);
    token.normalized = special.count(content) == 0;
    token.plain = false;
    add_decoded(id.get<std::int64_t>(), std::move(token));
  }
}

void SpecialTokens::read_tokenizer_added_tokens(const json& tokenizer) {
  const fs::path file = folder_ / "tokenizer.json";
  if (!tokenizer.is_object()) return;
  const auto list = tokenizer.find("added_tokens");
  if (list == tokenizer.end() || !list->is_array()) {
    refuse_tokenizer(file, "holds no list 'added_tokens'");
  }
  for (const json& entry : *list) {
    const json id = entry.is_object() ? entry.value("id", json()) : json();
    if (!id.is_number_integer() || id < 0) {
      refuse_tokenizer(file, "has an entry without an id in 'added_tokens'");
    }
    add_decoded(id.get<std::int64_t>(), to_token(entry, false, file));
  }
}

}  // namespace diffuse
