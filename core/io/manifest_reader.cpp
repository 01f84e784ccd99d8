#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/manifest.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;

[[noreturn]] void fail(const std::filesystem::path& path, int error) {
  throw Error(ExitCode::storage, "manifest '" + printable(path.string()) +
                                     "' cannot be read: " + std::strerror(error) +
                                     "; it is not known which pictures are done");
}

}  // namespace

ManifestReader::ManifestReader(const std::filesystem::path& path)
    : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (descriptor_ < 0 && errno != ENOENT) fail(path_, errno);
  ended_ = descriptor_ < 0;
}

ManifestReader::~ManifestReader() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

/// Another piece behind what is left of the buffer; false at the end of the file.
bool ManifestReader::fill() {
  if (ended_) return false;
  buffer_.erase(0, at_);
  buffer_start_ += at_;
  at_ = 0;
  const std::size_t had = buffer_.size();
  buffer_.resize(had + kPiece);
  ssize_t got = 0;
  do {
    got = ::read(descriptor_, buffer_.data() + had, kPiece);
  } while (got < 0 && errno == EINTR);
  if (got < 0) fail(path_, errno);
  buffer_.resize(had + static_cast<std::size_t>(got));
  ended_ = got == 0;
  return !ended_;
}

/// The bytes up to the next line end or the end of the file; none of a line that is too long.
std::optional<std::string_view> ManifestReader::raw_line() {
  std::size_t searched = at_;
  for (;;) {
    const std::size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      const std::size_t length = too_long_ ? 0 : end - at_;
      const std::string_view line = std::string_view(buffer_).substr(at_, length);
      at_ = end + 1;
      complete_ = true;
      too_long_ = false;
      return line;
    }
    if (buffer_.size() - at_ > kMaxRecordBytes) {
      at_ = buffer_.size();
      too_long_ = true;
    }
    searched = buffer_.size() - at_;  // where the unsearched part begins once fill() has moved it
    if (fill()) continue;
    if (at_ == buffer_.size() && !too_long_) return std::nullopt;
    const std::string_view line =
        std::string_view(buffer_).substr(too_long_ ? buffer_.size() : at_);
    at_ = buffer_.size();
    complete_ = false;
    too_long_ = false;
    return line;
  }
}

std::optional<ManifestReader::Line> ManifestReader::next() {
  while (const auto line = raw_line()) {
    const auto offset = buffer_start_ + static_cast<std::uint64_t>(line->data() - buffer_.data());
    if (const auto index = manifest_line_index(*line)) return Line{*index, offset, *line};
    if (complete_) {
      ++damaged_;
    } else {
      torn_ = true;
    }
  }
  return std::nullopt;
}

}  // namespace diffuse
