#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/prompt_entry.hpp"

namespace diffuse {

/// How a list is written.
enum class ListFormat : std::uint8_t {
  text,           ///< a prompt a line
  jsonl,          ///< a JSON object a line
  csv,            ///< RFC 4180 with a header row
  tsv,            ///< the same with tabs
  webui,          ///< the webui's "prompts from file"
  webui_lenient,  ///< the same; what the webui would take as a prompt for its mistakes is one
};

/// The format that a flag names (auto, text, jsonl, csv, tsv, webui, webui-lenient); "auto" goes by
/// the end of the path: .jsonl and .ndjson, .csv, .tsv, else text. Throws ConfigError.
ListFormat list_format(const std::string& flag, const std::string& path);

/// What a list may hold at most; a list is read in pieces, so a hostile one costs little memory.
struct PromptLimits {
  std::size_t line_bytes = 65'536;  ///< of a line, and of a row of CSV over several lines
  std::uint64_t total_bytes = 2'147'483'647;
  std::size_t prompts = 10'000'000;
};

/// How a list is to be read.
struct ListRules {
  ListFormat format = ListFormat::text;
  PromptLimits limits{};
  std::vector<std::string> schedulers{};  ///< the names there are
  bool keep_going = false;                ///< wrong lines are kept, each as a failure
};

/// What one line of a list came to.
struct ParsedLine {
  enum class Kind : std::uint8_t {
    blank,    ///< nothing but white space
    part,     ///< a header, or the row goes on in the next line
    prompt,   ///< `entry` is whole
    mistake,  ///< `entry.fields->mistake` says what is wrong, in words without the line's number
  };
  Kind kind = Kind::blank;
  PromptEntry entry;
};

/// Reads a list line by line, whatever its format.
///
/// All formats are UTF-8; a byte order mark before the first line is dropped; a line may end in a
/// CR. A mistake is: invalid UTF-8, NUL, a CR inside the line, a line over the limit; a prompt that
/// is missing or blank; a field of the wrong type or out of range; a key that is unknown or given
/// twice.
/// JSON Lines and CSV know the fields prompt, negative_prompt, seed (0 to 2^64 - 1), width, height,
/// num_inference_steps, guidance_scale, scheduler, num_images_per_prompt, name, metadata; null or
/// an empty cell is a field left out. Source of the webui's rules: its script "prompts from file".
class PromptParser {
 public:
  explicit PromptParser(const ListRules& rules);
  PromptParser(const PromptParser&) = delete;
  PromptParser& operator=(const PromptParser&) = delete;
  ~PromptParser();

  /// The next line without its LF; `number` is 1-based. Throws InputError(bad_list) for a header
  /// with mistakes, without which no row has a meaning.
  ParsedLine line(std::string_view bytes, std::int64_t number);
  /// After the last line: a row that was left open is a mistake, else blank.
  ParsedLine end();

 private:
  class Csv;

  ParsedLine wrong(std::string_view bytes, std::string mistake, std::int64_t number);

  ListRules rules_;
  std::unique_ptr<Csv> csv_;
};

}  // namespace diffuse
