#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace diffuse {

/// What one line of a list says besides its prompt; what it leaves out, the run's settings say.
struct PromptFields {
  std::optional<std::string> negative_prompt;
  std::optional<std::uint64_t> seed;  ///< of the line's first picture, instead of base + index
  std::optional<int> width, height;   ///< pixels
  std::optional<int> num_inference_steps;
  std::optional<double> guidance_scale;
  std::optional<std::string> scheduler;
  std::optional<int> num_images_per_prompt;
  std::string name;      ///< for the file's name and the records; empty: none
  std::string metadata;  ///< a JSON value as text, carried into the records; empty: none
  std::string mistake;   ///< not empty: the line is wrong, and each of its pictures has failed

  bool operator==(const PromptFields&) const = default;
};

/// One prompt of a list and where it stood. Lists of a million plain prompts are common, so the
/// fields that few have lie elsewhere.
struct PromptEntry {
  std::string prompt;                          ///< valid UTF-8
  std::int64_t line = 0;                       ///< 1-based, blank lines counted
  std::shared_ptr<const PromptFields> fields;  ///< null: nothing but a prompt
};

/// A prompt list as read.
struct PromptList {
  std::vector<PromptEntry> prompts;
  std::int64_t lines = 0;        ///< all lines, blank ones too
  std::int64_t blank_lines = 0;  ///< skipped: empty, or nothing but white space
};

}  // namespace diffuse
