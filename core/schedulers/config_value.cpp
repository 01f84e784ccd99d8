#include "core/schedulers/config_value.hpp"

#include <cmath>
#include <limits>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace diffuse {

void ConfigValue::refuse(const std::string& problem) const {
  throw InputError(ExitCode::bad_model,
                   printable(file_) + ": \"" + printable(key_) + "\" " + problem +
                       "; correct the file, or choose another scheduler with --scheduler");
}

std::string ConfigValue::shown() const {
  return printable(value_.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace), 60);
}

bool ConfigValue::boolean() const {
  if (value_.is_null()) return false;
  if (!value_.is_boolean()) refuse("is " + shown() + ", but must be true or false");
  return value_.get<bool>();
}

double ConfigValue::number(double low, double high) const {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (value_.is_string() && value_ == "-Infinity" && low == -kInfinity) return -kInfinity;
  if (!value_.is_number()) refuse("is " + shown() + ", but must be a number");
  const auto number = value_.get<double>();
  if (!(number >= low && number <= high)) {
    const nlohmann::json bounds = {low, high};
    refuse("is " + shown() + ", but must be in the range " + bounds.dump());
  }
  return number;
}

int ConfigValue::integer(int low, int high) const {
  const double value = number(low, high);
  if (value != std::floor(value)) refuse("is " + shown() + ", but must be a whole number");
  return static_cast<int>(value);
}

std::vector<double> ConfigValue::numbers(std::size_t most) const {
  if (value_.is_null()) return {};
  if (!value_.is_array() || value_.empty() || value_.size() > most) {
    refuse("must be a list of 1 to " + std::to_string(most) + " numbers");
  }
  std::vector<double> numbers;
  for (const auto& element : value_) {
    numbers.push_back(ConfigValue(file_, key_, element).number(-1e30, 1e30));
  }
  return numbers;
}

std::vector<int> ConfigValue::integers(std::size_t most) const {
  if (value_.is_array() && value_.empty()) return {};
  std::vector<int> integers;
  for (const double value : numbers(most)) {
    if (value != std::floor(value) || std::abs(value) > 1e9) refuse("must hold whole numbers");
    integers.push_back(static_cast<int>(value));
  }
  return integers;
}

void ConfigValue::must_be(const nlohmann::json& neutral) const {
  if (!value_.is_null() && value_ != neutral) refuse("is " + shown() + ", which is not supported");
}

namespace {

/// Puts quotes around Infinity, -Infinity and NaN where they stand outside of strings.
std::string quote_constants(std::string_view text) {
  std::string quoted;
  quoted.reserve(text.size());
  bool in_string = false;
  for (std::size_t i = 0; i < text.size();) {
    if (!in_string) {
      bool found = false;
      for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
        if (text.substr(i, word.size()) != word) continue;
        quoted.append("\"").append(word).append("\"");
        i += word.size();
        found = true;
        break;
      }
      if (found) continue;
    }
    if (text[i] == '"') in_string = !in_string;
    if (in_string && text[i] == '\\' && i + 1 < text.size()) quoted += text[i++];
    quoted += text[i++];
  }
  return quoted;
}

}  // namespace

nlohmann::json parse_config(std::string_view text, std::string_view file) {
  constexpr std::size_t kMostBytes = std::size_t{16} << 20;
  const auto refuse = [&](const std::string& problem) {
    throw InputError(ExitCode::bad_model, printable(file) + ": " + problem +
                                              ", so the scheduler's options are unknown; download "
                                              "or save the model folder again");
  };
  if (text.size() > kMostBytes) refuse("larger than 16 MiB");
  auto json = nlohmann::json::parse(quote_constants(text), nullptr, false);
  if (json.is_discarded()) refuse("not valid JSON");
  if (!json.is_object()) refuse("not a JSON object");
  return json;
}

}  // namespace diffuse
