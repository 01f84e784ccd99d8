#include "core/pipeline/config_reader.hpp"

#include <cmath>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace diffuse {

ConfigReader::ConfigReader(const nlohmann::json& object, std::string file)
    : object_(object), file_(std::move(file)) {
  if (!object_.is_object()) {
    throw InputError(ExitCode::bad_model, file_ + ": not a JSON object (expected a configuration)");
  }
}

const nlohmann::json* ConfigReader::find(std::string_view key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool ConfigReader::has(std::string_view key) const { return find(key) != nullptr; }

void ConfigReader::refuse(std::string_view key, const std::string& why) const {
  const nlohmann::json* value = find(key);
  const std::string shown =
      value == nullptr
          ? "missing"
          : printable(value->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), 80);
  throw InputError(ExitCode::bad_model,
                   file_ + ": \"" + std::string(key) + "\" is " + shown + ": " + why);
}

std::int64_t ConfigReader::integer(std::string_view key, std::int64_t low, std::int64_t high,
                                   std::optional<std::int64_t> fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr || !value->is_number_integer() ||
      (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX) ||
      value->get<std::int64_t>() < low || value->get<std::int64_t>() > high) {
    refuse(key, "expected an integer from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return value->get<std::int64_t>();
}

double ConfigReader::number(std::string_view key, double low, double high,
                            std::optional<double> fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr || !value->is_number() ||
      !(value->get<double>() >= low && value->get<double>() <= high)) {
    refuse(key, "expected a number in range");
  }
  return value->get<double>();
}

bool ConfigReader::boolean(std::string_view key, bool fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) refuse(key, "expected true or false");
  return value->get<bool>();
}

std::string ConfigReader::text(std::string_view key, std::optional<std::string> fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr || !value->is_string()) refuse(key, "expected a string");
  return value->get<std::string>();
}

std::vector<std::string> ConfigReader::texts(std::string_view key,
                                             std::vector<std::string> fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_array()) refuse(key, "expected a list of strings");
  std::vector<std::string> out;
  for (const nlohmann::json& one : *value) {
    if (!one.is_string()) refuse(key, "expected a list of strings");
    out.push_back(one.get<std::string>());
  }
  return out;
}

std::vector<std::int64_t> ConfigReader::integers(
    std::string_view key, std::size_t count, std::int64_t low, std::int64_t high,
    std::optional<std::vector<std::int64_t>> fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr && fallback) return *fallback;
  std::vector<std::int64_t> out;
  if (value != nullptr && value->is_array()) {
    for (const nlohmann::json& one : *value) {
      if (!one.is_number_integer()) refuse(key, "expected a list of integers");
      out.push_back(one.get<std::int64_t>());
    }
  } else if (value != nullptr && value->is_number_integer()) {
    out.assign(count == 0 ? 1 : count, value->get<std::int64_t>());
  }
  bool ok = !out.empty() && (count == 0 || out.size() == count);
  for (const std::int64_t one : out) ok = ok && one >= low && one <= high;
  if (!ok) {
    refuse(key, "expected " + (count == 0 ? std::string("a list") : std::to_string(count)) +
                    " of integers from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return out;
}

void ConfigReader::only(std::string_view key, const nlohmann::json& neutral) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr || *value == neutral) return;
  refuse(key, "not supported (only " + neutral.dump() + ")");
}

}  // namespace diffuse
