#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/diffuse_batch/kept_jobs.hpp"
#include "apps/diffuse_batch/run_settings.hpp"
#include "apps/diffuse_batch/run_summary.hpp"
#include "core/io/output_folder.hpp"
#include "core/io/prompt_file.hpp"
#include "core/io/run_record.hpp"
#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// On root: the list, its jobs, and what the output folder already holds of them.
class JobList {
 public:
  /// Reads the list whole, unless it comes in rounds. Throws InputError(bad_list) with all
  /// mistakes, or ConfigError.
  static JobList read(const Options& options);

  /// Fixes every job: index, seed, settings, file name. `settings.base_seed` must be known.
  void expand(const RunSettings& settings);

  /// Claims the output folder, matches or writes its run record (which may settle the base seed and
  /// the dtype in `settings`), and takes the list up, unless it comes in rounds. Writes nothing
  /// yet. Throws InputError(bad_output or busy_output), Error(storage).
  void open_output(RunSettings& settings, RunTimes& times);
  /// A round of a list that has no end in sight: these prompts take the place of those before.
  /// Throws as open_output().
  void begin_round(const RunSettings& settings, std::vector<PromptEntry> prompts, RunTimes& times);
  /// Writes the run record, and records of pictures that were found without one: the model is
  /// loaded and the first picture comes next. Throws Error(storage).
  void write_record(const RunSettings& settings) const;
  /// The latter for a later round. Throws Error(storage).
  void write_found(const RunSettings& settings) const;
  /// Merges the records of all ranks, writes how the run ended and gives the folder back.
  void close_output(const RunSettings& settings, ExitCode code);

  /// All jobs of the list, or of the round, until take_open_jobs().
  [[nodiscard]] const std::vector<RenderJob>& jobs() const { return jobs_; }
  /// Index of the first of them.
  [[nodiscard]] std::int64_t first_index() const { return first_index_; }
  [[nodiscard]] std::size_t job_count() const { return kept_.whole.size(); }
  /// Jobs still to be rendered, in list order: once, so that a long list is not held twice.
  [[nodiscard]] std::vector<RenderJob> take_open_jobs();
  /// Path of a picture as it is printed; empty with --output-type none.
  [[nodiscard]] std::string path_of(std::int64_t index) const;
  [[nodiscard]] std::int64_t line_of(std::int64_t index) const {
    return lines_.at(position_of(index));
  }
  /// Indices of what earlier runs finished.
  [[nodiscard]] std::vector<std::int64_t> kept() const;
  /// Fills in what the list and the folder tell.
  void sum_up(RunSummary& summary) const;
  [[nodiscard]] std::size_t prompt_count() const { return prompt_count_; }
  [[nodiscard]] std::int64_t blank_lines() const { return list_.blank_lines; }

 private:
  /// Fixes the jobs and finds out which pictures are already there.
  void take_up(const RunSettings& settings, RunTimes& times);
  [[nodiscard]] std::size_t position_of(std::int64_t index) const {
    return static_cast<std::size_t>(index - first_index_);
  }
  void take_jobs_of_latents(const RunSettings& settings);
  void match_record(RunSettings& settings);

  PromptList list_;
  std::size_t prompt_count_ = 0;
  std::int64_t first_index_ = 0;
  std::vector<RenderJob> jobs_;
  std::vector<std::string> file_names_;  // per job, once the jobs are taken
  std::vector<std::int64_t> lines_;      // the same
  std::unique_ptr<KeptJobsSearch> search_;
  KeptJobs kept_;
  RunSummary counts_;  // of all rounds
  std::unique_ptr<OutputFolderLock> lock_;
  RunRecord record_;
  std::string output_dir_;
  bool files_ = true;  // false with --output-type none
};

}  // namespace diffuse
