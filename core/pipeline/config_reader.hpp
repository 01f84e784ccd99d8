#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace diffuse {

/// Typed reading of a component's config.json. Every mistake is an InputError(bad_model) that names
/// file and key. A key that is absent or null takes the fallback; without one it is a mistake.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& object, std::string file);

  [[nodiscard]] bool has(std::string_view key) const;
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high,
                                     std::optional<std::int64_t> fallback = std::nullopt) const;
  [[nodiscard]] double number(std::string_view key, double low, double high,
                              std::optional<double> fallback = std::nullopt) const;
  [[nodiscard]] bool boolean(std::string_view key, bool fallback) const;
  [[nodiscard]] std::string text(std::string_view key,
                                 std::optional<std::string> fallback = std::nullopt) const;
  [[nodiscard]] std::vector<std::string> texts(std::string_view key,
                                               std::vector<std::string> fallback) const;
  /// A list of `count` integers, or one integer that stands for all; count 0 takes any list.
  [[nodiscard]] std::vector<std::int64_t> integers(
      std::string_view key, std::size_t count, std::int64_t low, std::int64_t high,
      std::optional<std::vector<std::int64_t>> fallback = std::nullopt) const;

  /// Refuses any value of the key but `neutral`; absent and null are fine.
  void only(std::string_view key, const nlohmann::json& neutral) const;
  /// Throws the refusal of a key's value.
  [[noreturn]] void refuse(std::string_view key, const std::string& why) const;

 private:
  [[nodiscard]] const nlohmann::json* find(std::string_view key) const;

  const nlohmann::json& object_;
  std::string file_;
};

}  // namespace diffuse
