#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace diffuse {

/// A special or added token as a file writes it: a string, or an object with flags.
struct WrittenToken {
  std::string content;
  bool normalized = false;
  bool plain = false;          ///< written as a string
  std::int64_t id = -1;        ///< if the file gives one
  std::filesystem::path file;  ///< for messages
  bool operator==(const WrittenToken& other) const {
    return content == other.content && normalized == other.normalized && plain == other.plain;
  }
};

/// The boolean `object[key]`, or `otherwise` where it is missing or null. Throws
/// InputError(bad_model).
bool flag_of(const nlohmann::json& object, const char* key, bool otherwise,
             const std::filesystem::path& file);

/// What the files of a tokenizer folder say about special and added tokens, merged by the rules of
/// transformers 5 (`PreTrainedTokenizerBase._from_pretrained`, `TokenizersBackend.__init__`).
class SpecialTokens {
 public:
  /// `tokenizer` is the content of tokenizer.json, or null. Throws InputError(bad_model).
  SpecialTokens(const std::filesystem::path& folder, const nlohmann::json& tokenizer);

  /// tokenizer_config.json, or an empty object.
  [[nodiscard]] const nlohmann::json& config() const { return config_; }
  [[nodiscard]] const std::filesystem::path& config_file() const { return config_file_; }
  /// By key, such as `bos_token`; keys that a file sets to null are missing.
  [[nodiscard]] const std::map<std::string, WrittenToken>& named() const { return named_; }

  /// All of them, in the order in which transformers adds them to the vocabulary.
  [[nodiscard]] std::vector<WrittenToken> in_order() const;

 private:
  void read_named(const nlohmann::json& object, const std::filesystem::path& file);
  void set_defaults();
  void add_decoded(std::int64_t id, WrittenToken token);
  void read_decoder();
  void read_legacy_added_tokens();
  void read_tokenizer_added_tokens(const nlohmann::json& tokenizer);

  std::filesystem::path folder_;
  std::filesystem::path config_file_;
  nlohmann::json config_;
  std::map<std::string, WrittenToken> named_;
  std::set<std::string> dropped_;  // named tokens that a file sets to null
  std::vector<WrittenToken> extra_;
  std::map<std::int64_t, WrittenToken> decoder_;  // added tokens with ids
};

}  // namespace diffuse
