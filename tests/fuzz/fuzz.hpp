#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

/// What libFuzzer calls with each input; in a build without it, replay.cpp does. It returns 0, and
/// whatever it throws is a finding.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace diffuse::fuzz {

/// Ends the process with `claim` on standard error, which is how a target reports a finding.
void must(bool holds, const char* claim);

/// Runs `read`, which may refuse its input by an Error of one printable line, and by nothing else.
/// Gives that line, or nothing if the input was taken.
std::string refusal(const std::function<void()>& read);

/// A file in memory that readers open by its path.
class MemoryFile {
 public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  /// Makes it `bytes` and then `zeros` bytes of 0.
  void set(std::string_view bytes, std::size_t zeros = 0);
  [[nodiscard]] std::filesystem::path path() const;

 private:
  int descriptor_;
};

/// A folder that goes away with the process.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  /// Writes the file `name`, or removes it if `content` is empty.
  void set(const std::string& name, std::string_view content) const;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// `text` cut at each byte `separator`, which the parts do not hold; `count` parts, the last ones
/// empty if there are fewer, the last one with all the rest if there are more.
std::vector<std::string_view> parts_of(std::string_view text, char separator, std::size_t count);

/// Whether `text` is UTF-8 as RFC 3629 says: no overlong form, no surrogate, at most U+10FFFF. By
/// its grammar, and not by the library that the program uses.
bool is_utf8(std::string_view text);

}  // namespace diffuse::fuzz
