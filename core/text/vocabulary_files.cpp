#include "core/text/vocabulary_files.hpp"

#include <cstdint>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/json_file.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::int64_t kMaxId = (std::int64_t{1} << 20) - 1;
constexpr JsonLimits kVocabularyLimits{
    .max_bytes = std::size_t{64} << 20U, .max_depth = 64, .max_values = 4'000'000};

bool is_there(const fs::path& file) {
  std::error_code error;
  return fs::exists(file, error);
}

Vocabulary to_vocabulary(const json& entries, const fs::path& file) {
  if (!entries.is_object()) refuse_tokenizer(file, "holds no vocabulary object (token to id)");
  if (entries.empty()) refuse_tokenizer(file, "holds an empty vocabulary");
  Vocabulary vocabulary;
  vocabulary.reserve(entries.size());
  std::unordered_set<std::int64_t> seen;
  for (const auto& [token, value] : entries.items()) {
    const std::string named =
        "gives token '" + printable(token, 60) + "' the id " +
        printable(value.dump(-1, ' ', false, json::error_handler_t::replace), 40);
    if (!value.is_number_integer() || value < 0 || value > kMaxId) {
      refuse_tokenizer(file, named + ", which is no number from 0 to " + std::to_string(kMaxId));
    }
    const auto id = value.get<std::int64_t>();
    if (!seen.insert(id).second) refuse_tokenizer(file, named + ", which another token has");
    vocabulary.emplace(token, static_cast<std::int32_t>(id));
  }
  return vocabulary;
}

/// "left right" to its parts; anything but exactly one space between them is refused.
std::pair<std::string, std::string> to_merge(std::string_view line, std::size_t number,
                                             const fs::path& file) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
    refuse_tokenizer(file, "has no two tokens in merge " + std::to_string(number) + " ('" +
                               printable(line, 60) + "')");
  }
  return {std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

Merges to_merges(const json& entries, const fs::path& file) {
  if (!entries.is_array()) refuse_tokenizer(file, "holds no list 'merges' in 'model'");
  Merges merges;
  merges.reserve(entries.size());
  for (const json& entry : entries) {
    const std::size_t number = merges.size() + 1;
    if (entry.is_string()) {
      merges.push_back(to_merge(entry.get_ref<const std::string&>(), number, file));
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      merges.emplace_back(entry[0].get<std::string>(), entry[1].get<std::string>());
    } else {
      refuse_tokenizer(file, "has no two tokens in merge " + std::to_string(number));
    }
  }
  return merges;
}

Merges read_merges(const fs::path& file) {
  const std::string text = read_text_file(file, kVocabularyLimits.max_bytes);
  Merges merges;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t newline = rest.find('\n');
    std::string_view line = rest.substr(0, newline);
    rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    constexpr std::string_view kHeader = "#version";
    if (line.substr(0, kHeader.size()) == kHeader) continue;
    merges.push_back(to_merge(line, merges.size() + 1, file));
  }
  return merges;
}

VocabularyFiles from_model(const json& model, const fs::path& file) {
  const std::string type = model.contains("type") ? model["type"].dump() : "\"BPE\"";
  if (type != "\"BPE\"") {
    refuse_tokenizer(file, "has the model type " + printable(type, 40) +
                               ", but CLIP's text encoder needs \"BPE\"");
  }
  if (model.contains("end_of_word_suffix") && model["end_of_word_suffix"] != "</w>") {
    refuse_tokenizer(file, "has an 'end_of_word_suffix' other than \"</w>\", so it is not CLIP's");
  }
  return {to_vocabulary(model.value("vocab", json()), file),
          to_merges(model.value("merges", json()), file), file, file};
}

}  // namespace

void refuse_tokenizer(const fs::path& file, const std::string& problem) {
  throw InputError(ExitCode::bad_model,
                   "tokenizer file '" + printable(file.string()) + "' " + problem +
                       "; without a sound tokenizer no prompt can be read: use the tokenizer folder"
                       " that belongs to the model");
}

json read_tokenizer_json(const fs::path& folder) {
  const fs::path file = folder / "tokenizer.json";
  if (!is_there(file)) return nullptr;
  json tokenizer = read_json_file(file, kVocabularyLimits);
  const bool sound = tokenizer.is_object() && tokenizer.contains("model");
  if (!sound || !tokenizer["model"].is_object()) refuse_tokenizer(file, "holds no object 'model'");
  return tokenizer;
}

VocabularyFiles read_vocabulary_files(const fs::path& folder, const json& tokenizer) {
  if (!tokenizer.is_null()) return from_model(tokenizer["model"], folder / "tokenizer.json");
  const fs::path vocabulary_file = folder / "vocab.json";
  const fs::path merges_file = folder / "merges.txt";
  if (!is_there(vocabulary_file) || !is_there(merges_file)) {
    throw InputError(
        ExitCode::bad_model,
        "tokenizer folder '" + printable(folder.string()) +
            "' holds neither tokenizer.json nor vocab.json with merges.txt, so no prompt"
            " can be read; complete the model folder or name another one by --tokenizer");
  }
  return {to_vocabulary(read_json_file(vocabulary_file, kVocabularyLimits), vocabulary_file),
          read_merges(merges_file), vocabulary_file, merges_file};
}

}  // namespace diffuse
