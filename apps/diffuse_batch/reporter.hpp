#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "apps/diffuse_batch/path_printer.hpp"
#include "apps/diffuse_batch/run_summary.hpp"
#include "core/base/progress.hpp"
#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// On root: paths on standard output in list order, failures and one progress line for all ranks on
/// standard error.
class Reporter {
 public:
  struct Setup {
    std::int64_t jobs = 0;  ///< of the whole list
    std::function<std::string(std::int64_t index)> path_of;
    std::vector<std::int64_t> kept;  ///< indices of what earlier runs finished
    ProgressMode progress = ProgressMode::lines;
    bool print_paths = true;
  };
  explicit Reporter(const Setup& setup);

  /// A job ended; told twice, it counts once.
  void finished(const RenderResult& result);
  /// Called often while root renders; decides itself when to print.
  void tick(int step, int steps);
  /// Prints what is left and the last progress line.
  void finish();

  [[nodiscard]] std::int64_t done() const { return done_; }
  [[nodiscard]] std::int64_t failed() const { return failed_; }
  /// Every job of the list has ended.
  [[nodiscard]] bool complete() const { return printer_.complete(); }
  /// The first failures, at most RunSummary::kMostFailures; `line` is left open.
  [[nodiscard]] const std::vector<RunSummary::Failure>& failures() const { return failures_; }
  /// Paths of all whole pictures, in list order.
  [[nodiscard]] std::vector<std::filesystem::path> paths() const;

 private:
  std::int64_t jobs_;
  std::function<std::string(std::int64_t)> path_of_;
  PathPrinter printer_;
  Progress progress_;
  std::int64_t done_ = 0, failed_ = 0;
  std::vector<RunSummary::Failure> failures_;
  double began_;
};

}  // namespace diffuse
