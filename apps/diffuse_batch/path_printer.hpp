#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace diffuse {

/// Prints the paths of pictures in list order, each as soon as all earlier ones are known: standard
/// output carries them and nothing else. A job that failed has no path and no line.
class PathPrinter {
 public:
  /// Paths go to `out` (nullptr: nowhere); `path_of` gives them by index, empty for a job without a
  /// file.
  PathPrinter(std::FILE* out, std::function<std::string(std::int64_t index)> path_of)
      : out_(out), path_of_(std::move(path_of)) {}

  /// The jobs [first, first + count) come next; what went before is settled and forgotten.
  void begin(std::int64_t first, std::int64_t count);

  /// Job `index` of these is settled, whole or failed. A job settled twice counts once.
  void settle(std::int64_t index, bool whole);

  [[nodiscard]] bool settled(std::int64_t index) const {
    return index < first_ || state_of(index) != State::open;
  }
  [[nodiscard]] bool whole(std::int64_t index) const { return state_of(index) == State::whole; }
  [[nodiscard]] bool complete() const { return next_ == states_.size(); }
  /// Prints what is known beyond a gap, in order: for a run that was cut off.
  void finish();

 private:
  enum class State : std::uint8_t { open, whole, failed };

  [[nodiscard]] State state_of(std::int64_t index) const {
    return states_.at(static_cast<std::size_t>(index - first_));
  }
  void print(std::size_t position);

  std::FILE* out_;
  std::function<std::string(std::int64_t)> path_of_;
  std::int64_t first_ = 0;
  std::vector<State> states_;  // by index, from first_
  std::size_t next_ = 0;       // the first that is open
};

}  // namespace diffuse
