#include "core/io/prompt_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kTold = 20;
constexpr std::int64_t kMostMistakes = 1'000;
constexpr std::size_t kJudgedBytes = 64;

}  // namespace

PromptLineReader::PromptLineReader(std::string name, const ListRules& rules)
    : name_(std::move(name)), rules_(rules), parser_(rules) {}

void PromptLineReader::refuse(const std::string& problem) const {
  throw InputError(ExitCode::bad_list, "prompt list '" + printable(name_) + "' " + problem);
}

void PromptLineReader::refuse_mistakes() const {
  std::string text = "has mistakes, so nothing is rendered: ";
  for (std::size_t i = 0; i < mistakes_.size(); ++i) text += (i == 0 ? "" : "; ") + mistakes_[i];
  const auto told = static_cast<std::int64_t>(mistakes_.size());
  if (mistake_count_ > told) text += "; and " + std::to_string(mistake_count_ - told) + " more";
  if (mistake_count_ >= kMostMistakes) text += " up to there, where reading was given up";
  refuse(text + "; correct them and start again");
}

void PromptLineReader::add_mistake(const PromptEntry& entry) {
  if (mistakes_.size() < kTold) {
    mistakes_.push_back("line " + std::to_string(entry.line) + ": " + entry.fields->mistake);
  }
  if (++mistake_count_ >= kMostMistakes) refuse_mistakes();
}

void PromptLineReader::take(ParsedLine parsed) {
  switch (parsed.kind) {
    case ParsedLine::Kind::blank:
      ++list_.blank_lines;
      return;
    case ParsedLine::Kind::part:
      return;
    case ParsedLine::Kind::mistake:
      if (!rules_.keep_going) return add_mistake(parsed.entry);
      break;
    case ParsedLine::Kind::prompt:
      break;
  }
  if (list_.prompts.size() >= rules_.limits.prompts) {
    refuse("has more than " + std::to_string(rules_.limits.prompts) + " prompts; split it");
  }
  list_.prompts.push_back(std::move(parsed.entry));
}

void PromptLineReader::refuse_wide_text(std::string_view start) const {
  const bool marked = start.substr(0, 2) == "\xFF\xFE" || start.substr(0, 2) == "\xFE\xFF";
  // Western text in UTF-16 has a NUL in nearly every second byte, and none in the others.
  std::size_t nul[2] = {0, 0};
  for (std::size_t i = 0; i < start.size(); ++i) nul[i % 2] += start[i] == '\0' ? 1U : 0U;
  const std::size_t most = std::max(nul[0], nul[1]);
  if (marked || (most > 0 && most >= start.size() / 4 && std::min(nul[0], nul[1]) == 0)) {
    refuse("looks like UTF-16, but a list is UTF-8; convert it: iconv -f UTF-16 -t UTF-8");
  }
}

void PromptLineReader::feed(std::string_view bytes) {
  bytes_ += bytes.size();
  if (bytes_ > rules_.limits.total_bytes) {
    refuse("is longer than " + std::to_string(rules_.limits.total_bytes) +
           " bytes, the most that a list may have; split it");
  }
  std::string joined;
  if (!started_) {
    // Judge the encoding by the first bytes, which a pipe may hand over one by one.
    start_.append(bytes);
    if (start_.size() < kJudgedBytes) return;
    joined = std::exchange(start_, std::string());
    bytes = joined;
    started_ = true;
    refuse_wide_text(bytes.substr(0, kJudgedBytes));
  }
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    line_open_ = true;
    // Two bytes more than allowed: the CR of a CR LF, and one that shows the excess.
    const std::size_t most = rules_.limits.line_bytes + 2;
    const std::size_t room = most - std::min(line_.size(), most);
    line_.append(part.substr(0, room));
    if (part.size() > room) line_too_long_ = true;
    if (line_too_long_ && line_.find('\0') != std::string::npos) {
      refuse("is no text file: line " + std::to_string(list_.lines + 1) +
             " holds NUL bytes and does not end; give a list in UTF-8");
    }
    if (end == std::string_view::npos) return;
    end_line();
    bytes.remove_prefix(end + 1);
  }
}

void PromptLineReader::end_line() {
  ++list_.lines;
  line_open_ = false;
  line_too_long_ = false;
  take(parser_.line(std::exchange(line_, std::string()), list_.lines));
}

PromptList PromptLineReader::finish() {
  if (!started_ && !start_.empty()) {
    refuse_wide_text(start_);
    started_ = true;
    const std::string bytes = std::exchange(start_, std::string());
    bytes_ -= bytes.size();
    feed(bytes);
  }
  if (line_open_) end_line();
  if (ParsedLine left = parser_.end(); left.kind == ParsedLine::Kind::mistake) {
    take(std::move(left));
  }
  if (mistake_count_ > 0) refuse_mistakes();
  if (list_.prompts.empty()) {
    refuse("has no prompts (" + std::to_string(list_.blank_lines) +
           " blank lines), so there is nothing to render; did the command that writes it fail?");
  }
  return std::exchange(list_, PromptList());
}

PromptList read_prompts(int descriptor, const std::string& name, const ListRules& rules) {
  PromptLineReader reader(name, rules);
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
    throw InputError(ExitCode::bad_list,
                     "prompt list '" + printable(name) + "' is a folder; give a text file");
  }
  std::vector<char> block(std::size_t{1} << 16);
  for (;;) {
    const ssize_t got = ::read(descriptor, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw InputError(ExitCode::bad_list, "prompt list '" + printable(name) +
                                               "' cannot be read: " + std::strerror(errno));
    }
    if (got == 0) break;
    reader.feed({block.data(), static_cast<std::size_t>(got)});
  }
  return reader.finish();
}

PromptList read_prompt_file(const std::string& path, const ListRules& rules) {
  if (path == "-") return read_prompts(STDIN_FILENO, "standard input", rules);
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) {
    throw InputError(ExitCode::bad_list, "prompt list '" + printable(path) +
                                             "' cannot be opened: " + std::strerror(errno) +
                                             "; give a text file or -");
  }
  struct Closing {
    int descriptor;
    ~Closing() { ::close(descriptor); }
  } const closing{descriptor};
  return read_prompts(descriptor, path, rules);
}

}  // namespace diffuse
