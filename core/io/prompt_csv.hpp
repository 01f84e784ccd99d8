#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/prompt_parser.hpp"

namespace diffuse {

/// Rows of separated values as in RFC 4180: cells in quotes may hold separators, line ends and
/// doubled quotes. Strict: a quote inside a cell without quotes and text after a closing quote are
/// mistakes. (The libraries that the distribution has take such rows as they come, or do not say
/// at which line they stand.)
class CsvRows {
 public:
  CsvRows(char separator, std::size_t row_bytes) : separator_(separator), row_bytes_(row_bytes) {}

  /// The next line; true if a row ends with it.
  bool add_line(std::string_view line);
  /// Whether a row is open: its last cell has no closing quote yet.
  [[nodiscard]] bool open() const { return state_ == State::quoted; }
  /// Ends the row that is open, with this mistake.
  void close(const std::string& mistake);

  /// The row that ended. The next add_line() begins another.
  [[nodiscard]] const std::vector<std::string>& cells() const { return cells_; }
  /// What is wrong with it; empty: nothing.
  [[nodiscard]] const std::string& mistake() const { return mistake_; }

 private:
  enum class State : std::uint8_t { start, plain, quoted, closed };

  void add(char c);
  void refuse(const std::string& what);

  char separator_;
  std::size_t row_bytes_;
  State state_ = State::start;
  std::vector<std::string> cells_;
  std::size_t bytes_ = 0;
  std::string mistake_;
};

/// Prompts as rows: the first line names the columns.
class CsvPrompts {
 public:
  explicit CsvPrompts(const ListRules& rules);

  /// A line that is valid UTF-8. Throws InputError(bad_list) for a header with mistakes.
  ParsedLine line(std::string_view text, std::int64_t number);
  /// A line that is wrong whatever stands in it. The row that is open ends with it: without that
  /// line it is another. Throws InputError(bad_list) if it is the header.
  ParsedLine wrong(std::string_view text, const std::string& mistake, std::int64_t number);
  ParsedLine end();

 private:
  [[noreturn]] void refuse_header(const std::string& wrong) const;
  void take_header();
  ParsedLine take_row(std::int64_t line);

  const ListRules& rules_;
  CsvRows rows_;
  std::vector<std::string> columns_;
  std::int64_t first_line_ = 0;  // of the row at hand
};

}  // namespace diffuse
