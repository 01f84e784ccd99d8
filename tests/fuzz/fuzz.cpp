#include "tests/fuzz/fuzz.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "core/base/error.hpp"

namespace diffuse::fuzz {

void must(bool holds, const char* claim) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", claim);
  std::abort();
}

std::string refusal(const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    const std::string line = error.what();
    must(!line.empty(), "an error says something");
    must(error.code() != ExitCode::bug, "bad input is no bug of the program");
    must(is_utf8(line), "an error is UTF-8");
    for (const char c : line) {
      must(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F, "an error is one printable line");
    }
    return line;
  }
  return {};
}

MemoryFile::MemoryFile() : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
  must(descriptor_ >= 0, "a file in memory can be made");
}

MemoryFile::~MemoryFile() { ::close(descriptor_); }

void MemoryFile::set(std::string_view bytes, std::size_t zeros) {
  must(::ftruncate(descriptor_, 0) == 0, "the file can be emptied");
  must(::pwrite(descriptor_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
       "the file can be written");
  must(::ftruncate(descriptor_, static_cast<off_t>(bytes.size() + zeros)) == 0,
       "the file can grow");
}

std::filesystem::path MemoryFile::path() const {
  return "/proc/self/fd/" + std::to_string(descriptor_);
}

Folder::Folder() {
  // In memory where that is possible: a target writes its files anew for every input.
  const std::filesystem::path memory = "/dev/shm";
  const bool in_memory = ::access(memory.c_str(), W_OK) == 0;
  const auto parent = in_memory ? memory : std::filesystem::temp_directory_path();
  std::string name = (parent / "diffuse-fuzz-XXXXXX").string();
  must(::mkdtemp(name.data()) != nullptr, "a folder can be made");
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void Folder::set(const std::string& name, std::string_view content) const {
  const std::filesystem::path file = path_ / name;
  if (content.empty()) {
    std::filesystem::remove(file);
  } else {
    std::ofstream(file, std::ios::binary) << content;
  }
}

std::vector<std::string_view> parts_of(std::string_view text, char separator, std::size_t count) {
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < count) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  parts.push_back(text);
  return parts;
}

bool is_utf8(std::string_view text) {
  std::size_t at = 0;
  const auto next = [&](unsigned low, unsigned high) {
    if (at >= text.size()) return false;
    const auto byte = static_cast<unsigned char>(text[at++]);
    return byte >= low && byte <= high;
  };
  while (at < text.size()) {
    const auto first = static_cast<unsigned char>(text[at++]);
    if (first < 0x80) continue;
    if (first < 0xC2 || first > 0xF4) return false;
    if (first >= 0xE0) {
      const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
      const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
      if (!next(low, high)) return false;
      if (first >= 0xF0 && !next(0x80, 0xBF)) return false;
    }
    if (!next(0x80, 0xBF)) return false;
  }
  return true;
}

}  // namespace diffuse::fuzz
