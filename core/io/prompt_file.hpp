#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/prompt_entry.hpp"
#include "core/io/prompt_parser.hpp"

namespace diffuse {

/// Reads the bytes of a whole prompt list, in the format that the rules say; no comment syntax.
///
/// UTF-8; a byte order mark at the very start is dropped; a line ends in LF or CR LF, the last may
/// end in neither. White space around a prompt (as Unicode defines it) is stripped: tokenizers do
/// not see it, and the webui strips it as well. Mistakes (see PromptParser) are collected, one for
/// each wrong line; with keep_going each of these lines is an entry with a mistake.
class PromptLineReader {
 public:
  explicit PromptLineReader(std::string name, const ListRules& rules = {});

  /// The next bytes of the list, cut anywhere.
  /// Throws InputError(bad_list) where reading on is pointless: a list over a limit, UTF-16,
  /// binary.
  void feed(std::string_view bytes);

  /// The end of the list. Throws one InputError(bad_list) that tells all mistakes (the first 20 in
  /// words), or "no prompts".
  PromptList finish();

 private:
  void end_line();
  void take(ParsedLine parsed);
  void add_mistake(const PromptEntry& entry);
  void refuse_wide_text(std::string_view start) const;
  [[noreturn]] void refuse(const std::string& problem) const;
  [[noreturn]] void refuse_mistakes() const;

  std::string name_;
  ListRules rules_;
  PromptParser parser_;
  PromptList list_;
  std::string line_;
  std::uint64_t bytes_ = 0;
  bool line_too_long_ = false;
  bool line_open_ = false;  ///< bytes after the last line end
  bool started_ = false;
  std::string start_;  ///< the first bytes, until there are enough to judge them
  std::vector<std::string> mistakes_;
  std::int64_t mistake_count_ = 0;
};

/// Reads a whole prompt list from a file, a pipe, or, for "-", from standard input.
/// Throws InputError(bad_list): missing, unreadable, a folder, or as PromptLineReader says.
PromptList read_prompt_file(const std::string& path, const ListRules& rules = {});

/// The same from an open descriptor, which stays open; `name` is for messages.
PromptList read_prompts(int descriptor, const std::string& name, const ListRules& rules = {});

}  // namespace diffuse
