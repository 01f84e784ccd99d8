#include "core/text/json_file.hpp"

#include <fstream>
#include <system_error>
#include <unordered_set>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxValues = 4'000'000;

using nlohmann::json;

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& reason) {
  throw InputError(ExitCode::bad_model, "tokenizer file '" + printable(path.string()) + "' " +
                                            reason + "; fetch the model folder again");
}

/// Watches a parse and stops it where the file would cost too much or is ambiguous.
class Limits {
 public:
  explicit Limits(const std::filesystem::path& path) : path_(path) {}

  void see(int depth, json::parse_event_t event, const json& parsed) {
    if (depth > kMaxDepth) refuse(path_, "nests deeper than " + std::to_string(kMaxDepth));
    switch (event) {
      case json::parse_event_t::object_start:
        keys_.emplace_back();
        count();
        break;
      case json::parse_event_t::object_end:
        keys_.pop_back();
        break;
      case json::parse_event_t::key:
        if (!keys_.back().insert(parsed.get<std::string>()).second) {
          refuse(path_, "has the key '" + printable(parsed.get<std::string>()) + "' twice");
        }
        break;
      case json::parse_event_t::array_start:
      case json::parse_event_t::value:
        count();
        break;
      default:
        break;
    }
  }

 private:
  void count() {
    if (++values_ > kMaxValues) refuse(path_, "holds more values than any tokenizer");
  }

  const std::filesystem::path& path_;
  std::vector<std::unordered_set<std::string>> keys_;
  std::size_t values_ = 0;
};

}  // namespace

std::string read_model_text(const std::filesystem::path& path, std::size_t max_bytes) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) refuse(path, "is missing or no regular file");
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(path, "cannot be opened for reading");
  std::string text;
  std::vector<char> block(std::size_t{1} << 16);
  // The size is counted while reading: the one that the file system reports may be wrong or change.
  while (file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    text.append(block.data(), static_cast<std::size_t>(file.gcount()));
    if (text.size() > max_bytes) {
      refuse(path, "is longer than " + std::to_string(max_bytes >> 20) + " MiB, which none is");
    }
  }
  if (file.bad()) refuse(path, "cannot be read to its end");
  return text;
}

json read_model_json(const std::filesystem::path& path, std::size_t max_bytes) {
  const std::string text = read_model_text(path, max_bytes);
  Limits limits(path);
  const auto watch = [&limits](int depth, json::parse_event_t event, json& parsed) {
    limits.see(depth, event, parsed);
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::exception& error) {
    refuse(path, "is no valid JSON (" + printable(error.what()) + ")");
  }
}

}  // namespace diffuse
