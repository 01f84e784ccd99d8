#include "core/base/json_file.hpp"

#include <unordered_set>
#include <vector>

#include "core/base/mapped_file.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

using nlohmann::json;

/// Watches a parse and stops it where the text would cost too much or is ambiguous.
class Watch {
 public:
  Watch(const std::filesystem::path& path, const JsonLimits& limits)
      : path_(path), limits_(limits) {}

  void see(int depth, json::parse_event_t event, const json& parsed) {
    if (depth > static_cast<int>(limits_.max_depth)) {
      refuse_file(path_, "nests deeper than " + std::to_string(limits_.max_depth) +
                             " levels, which no model's file does");
    }
    if (event == json::parse_event_t::key) {
      see_key(parsed.get_ref<const std::string&>());
      return;
    }
    if (event == json::parse_event_t::object_start) keys_.emplace_back();
    if (event == json::parse_event_t::object_end) {
      keys_.pop_back();
    } else if (event != json::parse_event_t::array_end && ++values_ > limits_.max_values) {
      refuse_file(path_, "holds more than " + std::to_string(limits_.max_values) + " values");
    }
  }

 private:
  void see_key(const std::string& key) {
    if (!keys_.back().insert(key).second) {
      refuse_file(path_, "the key \"" + printable(key) +
                             "\" is given twice in one object, so its value is ambiguous");
    }
  }

  const std::filesystem::path& path_;
  const JsonLimits& limits_;
  std::vector<std::unordered_set<std::string>> keys_;
  std::size_t values_ = 0;
};

}  // namespace

std::string json_problem(const json::exception& error) {
  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
  const std::string_view what = error.what();
  const std::size_t prefix = what.find("] ");
  return printable(prefix == std::string_view::npos ? what : what.substr(prefix + 2), 300);
}

std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const MappedFile file = MappedFile::open(path);
  const auto bytes = file.bytes();
  if (bytes.size() > max_bytes) {
    refuse_file(path, "has " + std::to_string(bytes.size()) + " bytes, more than the " +
                          std::to_string(max_bytes) + " that such a file may have");
  }
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

json parse_json(std::string_view text, const std::filesystem::path& path,
                const JsonLimits& limits) {
  // The parser takes a NUL byte for the end of the text and would not see what follows.
  if (text.find('\0') != std::string_view::npos) {
    refuse_file(path, "holds a NUL byte, so it is no JSON (fetch it again)");
  }
  Watch watch(path, limits);
  const auto see = [&watch](int depth, json::parse_event_t event, json& parsed) {
    watch.see(depth, event, parsed);
    return true;
  };
  try {
    return json::parse(text, see);
  } catch (const json::exception& error) {
    refuse_file(path, "is no valid JSON: " + json_problem(error) +
                          " (the file is damaged: fetch it again)");
  }
}

json read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_text_file(path, limits.max_bytes), path, limits);
}

json read_json_object(const std::filesystem::path& path, const JsonLimits& limits) {
  json value = read_json_file(path, limits);
  if (!value.is_object()) {
    refuse_file(path, std::string("holds a JSON ") + value.type_name() +
                          " where an object of keys is expected");
  }
  return value;
}

}  // namespace diffuse
