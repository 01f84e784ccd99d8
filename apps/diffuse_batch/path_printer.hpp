#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

namespace diffuse {

/// Prints the paths of pictures in list order, each as soon as all earlier ones are known: standard
/// output carries them and nothing else. A job that failed has no path and no line.
class PathPrinter {
 public:
  /// Paths of `count` jobs go to `out`.
  PathPrinter(std::FILE* out, std::int64_t count) : out_(out), count_(count) {}

  /// Job `index` is settled: `path`, or empty for a failure. A job settled twice counts once.
  void settle(std::int64_t index, const std::string& path);

  [[nodiscard]] bool settled(std::int64_t index) const {
    return index < next_ || waiting_.count(index) != 0;
  }
  [[nodiscard]] bool complete() const { return next_ == count_; }
  /// Prints what is known beyond a gap, in order: for a run that was cut off.
  void finish();

 private:
  void print(const std::string& path);

  std::FILE* out_;
  std::int64_t count_;
  std::int64_t next_ = 0;
  std::map<std::int64_t, std::string> waiting_;
};

}  // namespace diffuse
