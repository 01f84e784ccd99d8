#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/diffuse_batch/kept_jobs.hpp"
#include "apps/diffuse_batch/run_settings.hpp"
#include "core/io/output_folder.hpp"
#include "core/io/prompt_file.hpp"
#include "core/io/run_record.hpp"
#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// On root: the list, its jobs, and what the output folder already holds of them.
class JobList {
 public:
  /// Reads the list whole. Throws InputError(bad_list) with all mistakes, or ConfigError.
  static JobList read(const Options& options);

  /// Fixes every job: index, seed, settings, file name. `settings.base_seed` must be known.
  void expand(const RunSettings& settings);

  /// Claims the output folder, matches or writes its run record (which may settle the base seed and
  /// the dtype in `settings`), expands the jobs and finds out which pictures are already there.
  /// Writes nothing yet. Throws InputError(bad_output or busy_output), Error(storage).
  void open_output(RunSettings& settings);
  /// Writes the run record, and records of pictures that were found without one: the model is
  /// loaded and the first picture comes next. Throws Error(storage).
  void write_record(const RunSettings& settings) const;
  /// Merges the records of all ranks, writes how the run ended and gives the folder back.
  void close_output(const RunSettings& settings, ExitCode code);

  [[nodiscard]] const std::vector<RenderJob>& jobs() const { return jobs_; }
  /// Jobs still to be rendered, in list order.
  [[nodiscard]] std::vector<RenderJob> open_jobs() const;
  /// What earlier runs finished.
  [[nodiscard]] std::vector<RenderResult> kept(const RunSettings& settings) const;
  [[nodiscard]] const PromptList& prompts() const { return list_; }

 private:
  void take_jobs_of_latents(const RunSettings& settings);
  void match_record(RunSettings& settings);

  PromptList list_;
  std::vector<RenderJob> jobs_;
  KeptJobs kept_;
  std::unique_ptr<OutputFolderLock> lock_;
  RunRecord record_;
};

}  // namespace diffuse
