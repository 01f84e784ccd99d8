#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace diffuse::test {

inline std::filesystem::path tokenizer_data() {
  return std::filesystem::path(DIFFUSE_TEST_DATA) / "tokenizer";
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path.string());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
  return nlohmann::json::parse(read_text(path));
}

/// A tokenizer folder of its own, removed at the end: the small vocabulary plus one of the
/// committed configurations ("bare": none), to be altered by the test.
class TokenizerFolder {
 public:
  explicit TokenizerFolder(const std::string& config) {
    static std::atomic<int> number{0};
    path_ = std::filesystem::temp_directory_path() /
            ("diffuse_tokenizer_" + std::to_string(getpid()) + "_" + std::to_string(number++));
    std::filesystem::create_directories(path_);
    const bool saved = config.rfind("saved/", 0) == 0;
    copy(saved ? tokenizer_data() / config : tokenizer_data() / "vocabulary");
    if (!saved && config != "bare") copy(tokenizer_data() / "configs" / config);
  }
  ~TokenizerFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TokenizerFolder(const TokenizerFolder&) = delete;
  TokenizerFolder& operator=(const TokenizerFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  void remove(const std::string& name) const { std::filesystem::remove_all(path_ / name); }

 private:
  void copy(const std::filesystem::path& from) const {
    std::filesystem::copy(from, path_, std::filesystem::copy_options::recursive);
  }

  std::filesystem::path path_;
};

}  // namespace diffuse::test
