#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace diffuse {

/// Lines of a descriptor as they come, in rounds: for a list on standard input that may never end.
/// Holds no more than a round, 64 KiB and one line.
class LineStream {
 public:
  /// Of a line longer than `line_bytes`, two bytes more are kept: it is known by them.
  LineStream(int descriptor, std::size_t line_bytes);

  struct Line {
    std::int64_t number = 0;  ///< 1-based
    std::string text;         ///< without its line end
  };

  /// Waits for lines: until there are `most`, or a second has passed since the first came, or the
  /// input ends, or `stop`, asked every twentieth of a second, says so. Throws InputError(bad_list)
  /// if the input cannot be read, or a line has no end within 64 MiB.
  std::vector<Line> next(std::size_t most, const std::function<bool()>& stop);

  /// No more lines will come.
  [[nodiscard]] bool ended() const { return ended_ && at_ == buffer_.size() && !open_; }

 private:
  void wait_and_read(int milliseconds);
  bool take_line(std::vector<Line>& lines);

  int descriptor_;
  std::size_t line_bytes_;
  std::string buffer_;      // the last block read
  std::size_t at_ = 0;      // what of it is split
  std::string line_;        // the beginning of a line whose end has not come
  bool open_ = false;       // there is one
  std::size_t length_ = 0;  // of it, with what is not kept
  bool ended_ = false;
  std::int64_t number_ = 0;
};

}  // namespace diffuse
