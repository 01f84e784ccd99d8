#include "core/io/prompt_csv.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/prompt_draft.hpp"

namespace diffuse {

void CsvRows::refuse(const std::string& what) {
  if (mistake_.empty()) mistake_ = "cell " + std::to_string(cells_.size()) + ": " + what;
}

void CsvRows::add(char c) {
  switch (state_) {
    case State::start:
      if (c == '"') {
        state_ = State::quoted;
        return;
      }
      state_ = State::plain;
      [[fallthrough]];
    case State::plain:
      if (c == separator_) break;
      if (c == '"') refuse("a quote inside a cell without quotes");
      cells_.back().push_back(c);
      return;
    case State::quoted:
      if (c == '"') {
        state_ = State::closed;
      } else {
        cells_.back().push_back(c);
      }
      return;
    case State::closed:
      if (c == separator_) break;
      if (c != '"') {
        refuse("text after the closing quote");
        state_ = State::plain;
      } else {
        state_ = State::quoted;
      }
      cells_.back().push_back(c);
      return;
  }
  cells_.emplace_back();
  state_ = State::start;
}

void CsvRows::close(const std::string& mistake) {
  refuse(mistake);
  state_ = State::plain;
}

bool CsvRows::add_line(std::string_view line) {
  if (open()) {
    if (mistake_.empty()) cells_.back().push_back('\n');
  } else {
    cells_.assign(1, "");
    mistake_.clear();
    bytes_ = 0;
    state_ = State::start;
  }
  bytes_ += line.size() + 1;
  if (bytes_ > row_bytes_) {
    refuse("the row is longer than " + std::to_string(row_bytes_) +
           " bytes (is a closing quote missing?)");
    // What follows is read as rows again: most likely it is some.
    state_ = State::plain;
    return true;
  }
  for (const char c : line) add(c);
  return !open();
}

CsvPrompts::CsvPrompts(const ListRules& rules)
    : rules_(rules), rows_(rules.format == ListFormat::tsv ? '\t' : ',', rules.limits.line_bytes) {}

ParsedLine CsvPrompts::line(std::string_view text, std::int64_t number) {
  if (!rows_.open()) {
    if (stripped(text).empty()) return {};
    first_line_ = number;
  }
  if (!rows_.add_line(text)) return {ParsedLine::Kind::part, {}};
  if (columns_.empty()) {
    take_header();
    return {ParsedLine::Kind::part, {}};
  }
  return take_row(first_line_);
}

ParsedLine CsvPrompts::wrong(std::string_view text, const std::string& mistake,
                             std::int64_t number) {
  const bool inside = rows_.open();
  if (!inside) first_line_ = number;
  const std::string told =
      inside ? "line " + std::to_string(number) + ", inside the row: " + mistake : mistake;
  rows_.close(told);
  if (columns_.empty()) refuse_header(told);
  return wrong_line(inside ? std::string_view(rows_.cells().front()) : text, told, first_line_);
}

ParsedLine CsvPrompts::end() {
  if (!rows_.open()) return {};
  return wrong_line(rows_.cells().front(), "a quote is opened and never closed", first_line_);
}

void CsvPrompts::take_header() {
  std::string wrong = rows_.mistake();
  const auto add = [&wrong](const std::string& what) {
    wrong += (wrong.empty() ? "" : ", ") + what;
  };
  for (const std::string& cell : rows_.cells()) {
    const std::string column(stripped(cell));
    if (field_type(column) == FieldType::unknown) add(unknown_key(column));
    if (std::find(columns_.begin(), columns_.end(), column) != columns_.end()) {
      add("the column \"" + printable(column, 40) + "\" is there twice");
    }
    columns_.push_back(column);
  }
  if (std::find(columns_.begin(), columns_.end(), "prompt") == columns_.end()) {
    add("there is no column \"prompt\"");
  }
  if (wrong.empty()) return;
  refuse_header(wrong);
}

void CsvPrompts::refuse_header(const std::string& wrong) const {
  throw InputError(ExitCode::bad_list, "prompt list: line " + std::to_string(first_line_) +
                                           ", the row of column names, has mistakes, so that no "
                                           "row has a meaning: " +
                                           wrong + "; correct them and start again");
}

ParsedLine CsvPrompts::take_row(std::int64_t line) {
  const std::vector<std::string>& cells = rows_.cells();
  if (!rows_.mistake().empty()) return wrong_line(cells.front(), rows_.mistake(), line);
  if (cells.size() != columns_.size()) {
    return wrong_line(cells.front(),
                      std::to_string(cells.size()) + " cells where there are " +
                          std::to_string(columns_.size()) + " columns",
                      line);
  }
  PromptDraft draft(rules_);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].empty()) continue;
    if (columns_[i] == "metadata") {
      draft.set_metadata(nlohmann::json(cells[i]).dump());
    } else {
      draft.set(columns_[i], cells[i]);
    }
  }
  return std::move(draft).finish(line);
}

}  // namespace diffuse
