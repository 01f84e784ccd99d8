#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace diffuse {

/// One value of a configuration file, with what a message about it needs. All readers throw
/// InputError(bad_model) naming file and key.
class ConfigValue {
 public:
  ConfigValue(std::string file, std::string key, const nlohmann::json& value)
      : file_(std::move(file)), key_(std::move(key)), value_(value) {}

  [[nodiscard]] bool is_null() const { return value_.is_null(); }
  /// true or false; null is false, as in Python.
  [[nodiscard]] bool boolean() const;
  /// A whole number in [low, high]; 1.0 is whole.
  [[nodiscard]] int integer(int low, int high) const;
  /// A finite number in [low, high], or minus infinity where `low` is that.
  [[nodiscard]] double number(double low, double high) const;
  [[nodiscard]] std::vector<double> numbers(std::size_t most) const;
  [[nodiscard]] std::vector<int> integers(std::size_t most) const;
  /// The value that belongs to the string, e.g. {{"linear", BetaSchedule::linear}, ...}.
  template <class T>
  [[nodiscard]] T choice(const std::vector<std::pair<std::string_view, T>>& choices) const {
    std::string names;
    for (const auto& [name, result] : choices) {
      if (value_.is_string() && value_.get_ref<const std::string&>() == name) return result;
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    refuse("is " + shown() + ", but only these are supported: " + names);
  }
  /// Throws unless the value equals `neutral` or is null: an option that is known, but not
  /// supported.
  void must_be(const nlohmann::json& neutral) const;
  /// Throws: `file: "key" problem`, and what to do.
  [[noreturn]] void refuse(const std::string& problem) const;

 private:
  [[nodiscard]] std::string shown() const;

  std::string file_;
  std::string key_;
  const nlohmann::json& value_;
};

/// Parses a JSON object as Python's json does: `Infinity`, `-Infinity` and `NaN` are values, which
/// diffusers writes for `lambda_min_clipped`; they become strings of that name. Throws InputError.
nlohmann::json parse_config(std::string_view text, std::string_view file);

}  // namespace diffuse
