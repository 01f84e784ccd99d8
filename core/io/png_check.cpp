#include "core/io/png_check.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utf8proc.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n";
constexpr std::uint32_t kMaxChunk = 0x7FFFFFFF;
constexpr std::uint32_t kMaxText = std::uint32_t{4} << 20;
constexpr std::size_t kMaxTexts = 64;

std::uint32_t big_endian(const char* at) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(at);
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
         std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
}

class Descriptor {
 public:
  // Without O_NONBLOCK, opening a named pipe would wait for its other end.
  explicit Descriptor(const std::filesystem::path& path)
      : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  [[nodiscard]] int get() const { return descriptor_; }

  /// Up to `most` bytes; fewer only at the end of the file.
  std::string_view read(std::size_t most) {
    buffer_.resize(std::max(buffer_.size(), most));
    std::size_t have = 0;
    while (have < most) {
      const ssize_t got = ::read(descriptor_, buffer_.data() + have, most - have);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        throw Error(ExitCode::storage, "'" + printable(path_.string()) +
                                           "' cannot be read: " + std::strerror(errno) +
                                           "; it is not known whether the picture is whole");
      }
      if (got == 0) break;
      have += static_cast<std::size_t>(got);
    }
    return {buffer_.data(), have};
  }

 private:
  const std::filesystem::path& path_;
  int descriptor_;
  std::vector<char> buffer_;
};

bool sane_header(std::string_view data) {
  if (data.size() != 13) return false;
  const std::uint32_t width = big_endian(data.data());
  const std::uint32_t height = big_endian(data.data() + 4);
  const int depth = static_cast<unsigned char>(data[8]);
  const int color = static_cast<unsigned char>(data[9]);
  const bool depth_fits = color == 0
                              ? depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16
                          : color == 3 ? depth == 1 || depth == 2 || depth == 4 || depth == 8
                          : color == 2 || color == 4 ? depth == 8 || depth == 16
                                                     : color == 6 && (depth == 8 || depth == 16);
  return width >= 1 && width <= kMaxChunk && height >= 1 && height <= kMaxChunk && depth_fits &&
         data[10] == 0 && data[11] == 0 && (data[12] == 0 || data[12] == 1);
}

std::string utf8_of_latin1(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xC0 | byte >> 6);
      out += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return out;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    utf8proc_int32_t point = -1;
    const auto used = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()), &point);
    if (used <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(used));
  }
  return true;
}

/// Adds the text of a tEXt or an uncompressed iTXt chunk; others, and malformed ones, are not ours.
void add_text(std::string_view type, std::string_view data, std::vector<PngText>& texts) {
  const std::size_t key_end = data.find('\0');
  if (key_end == 0 || key_end == std::string_view::npos || texts.size() >= kMaxTexts) return;
  const std::string key = utf8_of_latin1(data.substr(0, key_end));
  data.remove_prefix(key_end + 1);
  if (type == "tEXt") {
    texts.push_back({key, utf8_of_latin1(data)});
    return;
  }
  // Compression flag and method, language tag, translated keyword.
  if (data.size() < 2 || data[0] != 0) return;
  data.remove_prefix(2);
  for (int part = 0; part < 2; ++part) {
    const std::size_t end = data.find('\0');
    if (end == std::string_view::npos) return;
    data.remove_prefix(end + 1);
  }
  if (is_utf8(data)) texts.push_back({key, std::string(data)});
}

/// The walk over one file.
class Walk {
 public:
  Walk(Descriptor& file, PngCheck& check) : file_(file), check_(check) {}

  void run() {
    const std::string_view start = file_.read(kSignature.size());
    const bool zeroed = start.find_first_not_of('\0') == std::string_view::npos;
    if (start != kSignature) {
      const bool begins = kSignature.substr(0, start.size()) == start;
      return end(begins || zeroed ? PngStatus::torn : PngStatus::foreign,
                 start.empty() ? "is empty"
                 : zeroed      ? "begins with zeros"
                 : begins      ? "ends inside its signature"
                               : "is no PNG file");
    }
    while (check_.status == PngStatus::missing) chunk();
  }

 private:
  void end(PngStatus status, const std::string& problem) {
    check_.status = status;
    check_.problem = problem;
  }

  void chunk() {
    const std::string_view head = file_.read(8);
    if (head.size() < 8) return end(PngStatus::torn, "ends before IEND");
    const std::uint32_t length = big_endian(head.data());
    type_ = head.substr(4);
    const bool named = std::all_of(type_.begin(), type_.end(), [](char c) {
      return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    });
    if (!named || length > kMaxChunk) return end(PngStatus::torn, "has a damaged chunk");
    if ((chunks_ == 0) != (type_ == "IHDR")) return end(PngStatus::torn, "has a misplaced header");
    ++chunks_;
    const bool text = (type_ == "tEXt" || type_ == "iTXt") && length <= kMaxText;
    if (!body(length, text || type_ == "IHDR")) return;
    if (type_ == "IHDR") {
      if (!sane_header(data_)) return end(PngStatus::torn, "has a damaged header");
      check_.width = big_endian(data_.data());
      check_.height = big_endian(data_.data() + 4);
    } else if (text) {
      add_text(type_, data_, check_.texts);
    } else if (type_ == "IDAT") {
      pixels_ = true;
    } else if (type_ == "IEND") {
      if (length != 0 || !pixels_) return end(PngStatus::torn, "has no pixels");
      if (!file_.read(1).empty()) return end(PngStatus::foreign, "has bytes after its end");
      check_.status = PngStatus::whole;
    }
  }

  /// Reads the data of a chunk and its check sum; false if that ended the walk.
  bool body(std::uint32_t length, bool keep) {
    data_.clear();
    uLong sum = crc32(0, reinterpret_cast<const Bytef*>(type_.data()), 4);
    for (std::uint32_t left = length; left > 0;) {
      const std::string_view part = file_.read(std::min<std::size_t>(left, kPiece));
      if (part.empty()) break;
      sum = crc32(sum, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(part.size()));
      if (keep) data_.append(part);
      left -= static_cast<std::uint32_t>(part.size());
    }
    const std::string_view stored = file_.read(4);
    if (stored.size() < 4) {
      end(PngStatus::torn, "ends inside " + type_);
    } else if (big_endian(stored.data()) != sum) {
      end(PngStatus::torn, "has a wrong check sum in " + type_);
    }
    return check_.status == PngStatus::missing;
  }

  static constexpr std::size_t kPiece = std::size_t{1} << 16;

  Descriptor& file_;
  PngCheck& check_;
  std::string type_;
  std::string data_;
  std::uint64_t chunks_ = 0;
  bool pixels_ = false;
};

}  // namespace

PngCheck check_png(const std::filesystem::path& path) {
  PngCheck check;
  Descriptor file(path);
  if (file.get() < 0) {
    if (errno == ENOENT) return check;
    if (errno == ENXIO || errno == ELOOP || errno == EISDIR) {
      check.status = PngStatus::not_a_file;
      check.problem = "is no file";
      return check;
    }
    throw Error(ExitCode::storage, "'" + printable(path.string()) +
                                       "' cannot be opened: " + std::strerror(errno) +
                                       "; it is not known whether the picture is whole");
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    check.status = PngStatus::not_a_file;
    check.problem = S_ISDIR(status.st_mode) ? "is a folder" : "is no file";
    return check;
  }
  Walk(file, check).run();
  return check;
}

}  // namespace diffuse
