#include "core/io/prompt_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utf8proc.h>

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
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// The code point at the start of `text`, and its bytes; bytes <= 0 where it is invalid UTF-8.
std::pair<utf8proc_int32_t, utf8proc_ssize_t> code_point(std::string_view text) {
  utf8proc_int32_t point = -1;
  const auto used = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                     static_cast<utf8proc_ssize_t>(text.size()), &point);
  return {point, used};
}

/// White space as Python's str.strip() takes it, which the webui uses on its lists.
bool is_space(utf8proc_int32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

/// Position of the first byte that is not UTF-8, or npos.
std::size_t first_invalid(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const auto used = code_point(text.substr(at)).second;
    if (used <= 0) return at;
    at += static_cast<std::size_t>(used);
  }
  return std::string_view::npos;
}

/// `text`, valid UTF-8, without the white space around it.
std::string_view stripped(std::string_view text) {
  std::size_t first = text.size();
  std::size_t last = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto [point, used] = code_point(text.substr(at));
    const std::size_t next = at + static_cast<std::size_t>(used);
    if (!is_space(point)) {
      first = std::min(first, at);
      last = next;
    }
    at = next;
  }
  return first < last ? text.substr(first, last - first) : std::string_view();
}

}  // namespace

PromptLineReader::PromptLineReader(std::string name, const PromptLimits& limits)
    : name_(std::move(name)), limits_(limits) {}

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

void PromptLineReader::add_mistake(const std::string& what) {
  if (mistakes_.size() < kTold) {
    mistakes_.push_back("line " + std::to_string(list_.lines) + ": " + what);
  }
  if (++mistake_count_ >= kMostMistakes) refuse_mistakes();
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
  if (bytes_ > limits_.total_bytes) {
    refuse("is longer than " + std::to_string(limits_.total_bytes) +
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
    if (bytes.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
      bytes.remove_prefix(kByteOrderMark.size());
    }
  }
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    line_open_ = true;
    // One byte more than allowed, for the CR of a CR LF.
    const std::size_t room =
        limits_.line_bytes + 1 - std::min(line_.size(), limits_.line_bytes + 1);
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
  std::string line = std::exchange(line_, std::string());
  const bool too_long = std::exchange(line_too_long_, false);
  if (!too_long && !line.empty() && line.back() == '\r') line.pop_back();
  if (too_long || line.size() > limits_.line_bytes) {
    add_mistake("longer than " + std::to_string(limits_.line_bytes) + " bytes");
    return;
  }
  const std::size_t invalid = first_invalid(line);
  const std::size_t nul = line.find('\0');
  const std::size_t carriage_return = line.find('\r');
  const std::size_t first = std::min({invalid, nul, carriage_return});
  if (first != std::string::npos) {
    const std::string at = " at byte " + std::to_string(first + 1);
    if (first == invalid) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "0x%02X", static_cast<unsigned char>(line[first]));
      add_mistake("invalid UTF-8" + at + " (" + hex + ")");
    } else if (first == nul) {
      add_mistake("NUL" + at);
    } else {
      add_mistake("carriage return inside the line" + at + " (old Mac line ends? tr '\\r' '\\n')");
    }
    return;
  }
  const std::string_view prompt = stripped(line);
  if (prompt.empty()) {
    ++list_.blank_lines;
    return;
  }
  if (list_.prompts.size() >= limits_.prompts) {
    refuse("has more than " + std::to_string(limits_.prompts) + " prompts; split it");
  }
  list_.prompts.push_back({std::string(prompt), list_.lines, nullptr});
}

PromptList PromptLineReader::finish() {
  if (!started_ && !start_.empty()) {
    refuse_wide_text(start_);
    started_ = true;
    const std::string bytes = std::exchange(start_, std::string());
    bytes_ -= bytes.size();
    const bool marked = bytes.substr(0, kByteOrderMark.size()) == kByteOrderMark;
    feed(std::string_view(bytes).substr(marked ? kByteOrderMark.size() : 0));
  }
  if (line_open_) end_line();
  if (mistake_count_ > 0) refuse_mistakes();
  if (list_.prompts.empty()) {
    refuse("has no prompts (" + std::to_string(list_.blank_lines) +
           " blank lines), so there is nothing to render; did the command that writes it fail?");
  }
  return std::exchange(list_, PromptList());
}

PromptList read_prompts(int descriptor, const std::string& name, const PromptLimits& limits) {
  PromptLineReader reader(name, limits);
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

PromptList read_prompt_file(const std::string& path, const PromptLimits& limits) {
  if (path == "-") return read_prompts(STDIN_FILENO, "standard input", limits);
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
  return read_prompts(descriptor, path, limits);
}

}  // namespace diffuse
