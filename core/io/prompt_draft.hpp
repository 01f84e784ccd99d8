#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/io/prompt_parser.hpp"

namespace diffuse {

/// A prompt of a list in the making: fields come in by their keys, mistakes are collected.
class PromptDraft {
 public:
  explicit PromptDraft(const ListRules& rules) : rules_(rules) {}

  /// seed, width, height, num_inference_steps, num_images_per_prompt.
  void set_whole(std::string_view key, std::uint64_t value);
  /// guidance_scale.
  void set_real(std::string_view key, double value);
  /// prompt, negative_prompt, scheduler, name.
  void set_text(std::string_view key, std::string value);
  /// A JSON value as text.
  void set_metadata(std::string json);
  /// Any field but metadata, from the text that stands for its value: numbers are read.
  void set(std::string_view key, std::string_view text);

  void add_mistake(const std::string& what);
  void add_unknown(std::string_view key);
  /// Of the wrong type: `key` must be `wanted`, not `given`.
  void add_wrong(std::string_view key, std::string_view wanted, std::string_view given);

  /// The prompt, or all mistakes.
  ParsedLine finish(std::int64_t line) &&;

 private:
  const ListRules& rules_;
  std::string prompt_;
  bool has_prompt_ = false;
  PromptFields fields_;
};

/// What is the type of a field's value.
enum class FieldType : std::uint8_t { unknown, whole, real, text, json };
FieldType field_type(std::string_view key);

/// "unknown key "sead" (did you mean "seed"?)".
std::string unknown_key(std::string_view key);

/// The line as a mistake; its text stands where the prompt would, as far as it can be shown.
ParsedLine wrong_line(std::string_view text, std::string mistake, std::int64_t line);

/// `text`, valid UTF-8, without the white space around it, as Python's str.strip() takes it.
std::string_view stripped(std::string_view text);

// The formats; `text` is one line, valid UTF-8, not blank.

ParsedLine parse_json_line(std::string_view text, std::int64_t line, const ListRules& rules);
ParsedLine parse_webui_line(std::string_view text, std::int64_t line, const ListRules& rules);

}  // namespace diffuse
