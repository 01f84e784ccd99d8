#include <charconv>
#include <concepts>
#include <nlohmann/json.hpp>

#include "core/io/manifest_record.hpp"

namespace diffuse {
namespace {

using nlohmann::json;

/// Reads the fields of a line one after another, as manifest_line() writes them.
class HeadReader {
 public:
  explicit HeadReader(std::string_view rest) : rest_(rest) {}

  template <std::integral T>
  void number(std::string_view key, T& to) {
    if (!take_key(key)) return;
    const auto [at, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), to);
    const auto length = static_cast<std::size_t>(at - rest_.data());
    good_ = error == std::errc() && length < rest_.size() && rest_[length] == ',';
    if (good_) rest_.remove_prefix(length + 1);
  }
  /// A text, or null, which is empty.
  void text(std::string_view key, std::string& to) {
    if (!take_key(key)) return;
    to.clear();
    if (rest_.starts_with("null,")) {
      rest_.remove_prefix(5);
      return;
    }
    std::size_t end = rest_.starts_with('"') ? 1 : rest_.size();
    while (end < rest_.size() && rest_[end] != '"') end += rest_[end] == '\\' ? 2 : 1;
    good_ = end + 1 < rest_.size() && rest_[end + 1] == ',';
    if (!good_) return;
    const std::string_view value = rest_.substr(1, end - 1);
    if (value.find('\\') == std::string_view::npos) {
      to = value;
    } else {
      const json parsed = json::parse(rest_.substr(0, end + 1), nullptr, false);
      good_ = parsed.is_string();
      if (good_) to = parsed.get<std::string>();
    }
    rest_.remove_prefix(end + 2);
  }
  [[nodiscard]] bool good() const { return good_; }

 private:
  bool take_key(std::string_view key) {
    const std::size_t length = key.size() + 3;
    good_ = good_ && rest_.size() > length && rest_[0] == '"' &&
            rest_.substr(1, key.size()) == key && rest_.substr(key.size() + 1, 2) == "\":";
    if (good_) rest_.remove_prefix(length);
    return good_;
  }

  std::string_view rest_;
  bool good_ = true;
};

}  // namespace

std::optional<ManifestHead> parse_manifest_head(std::string_view line) {
  if (!manifest_line_index(line)) return std::nullopt;
  ManifestHead head;
  std::string status;
  HeadReader reader(line.substr(1));
  reader.number("index", head.index);
  reader.number("line", head.line);
  reader.text("status", status);
  reader.text("job_hash", head.job_hash);
  reader.text("path", head.path);
  reader.text("sha256", head.sha256);
  reader.number("bytes", head.bytes);
  reader.number("modified", head.modified);
  if (!reader.good() || (status != "ok" && status != "failed")) return std::nullopt;
  head.status = status == "ok" ? RecordStatus::ok : RecordStatus::failed;
  return head;
}

}  // namespace diffuse
