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
    std::int64_t jobs = 0;  ///< of the whole list; < 0: nobody knows
    std::function<std::string(std::int64_t index)> path_of;
    std::function<std::int64_t(std::int64_t index)> line_of;
    ProgressMode progress = ProgressMode::lines;
    std::size_t columns = 0;  ///< of the terminal; 0: there is none
    double interval = 0;      ///< seconds between two lines; 0: the usual
    std::size_t ranks = 0;    ///< to be told apart in the progress; 0: not
    bool print_paths = true;
    bool keep_paths = false;  ///< paths() is asked for at the end
  };
  explicit Reporter(const Setup& setup);
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;
  ~Reporter();

  /// The jobs [first, first + jobs) come next, all of the list or a round of it; `kept`: indices of
  /// what earlier runs finished of them.
  void begin(std::int64_t first, std::int64_t jobs, const std::vector<std::int64_t>& kept);

  /// A job ended; told twice, it counts once.
  void finished(const RenderResult& result);
  /// Called often while root renders; decides itself when to print.
  void tick(int step, int steps);
  /// No more of these jobs will end now: prints what is left of them.
  void end();
  /// The last progress line.
  void finish();

  [[nodiscard]] std::int64_t done() const { return done_; }
  [[nodiscard]] std::int64_t failed() const { return failed_; }
  /// Every job has ended.
  [[nodiscard]] bool complete() const { return printer_.complete(); }
  /// The first failures, at most RunSummary::kMostFailures.
  [[nodiscard]] const std::vector<RunSummary::Failure>& failures() const { return failures_; }
  /// Paths of all whole pictures, in list order.
  [[nodiscard]] const std::vector<std::filesystem::path>& paths() const { return paths_; }

 private:
  Setup setup_;
  PathPrinter printer_;
  Progress progress_;
  std::int64_t done_ = 0, failed_ = 0;
  std::vector<RunSummary::Failure> failures_;
  std::int64_t first_ = 0, jobs_ = 0;
  std::vector<std::filesystem::path> paths_;
  double began_;
};

}  // namespace diffuse
