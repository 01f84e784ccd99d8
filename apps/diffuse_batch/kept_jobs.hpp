#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/diffuse_batch/run_settings.hpp"
#include "core/io/manifest_record.hpp"
#include "core/io/output_folder.hpp"
#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// What earlier runs left of the jobs of a list.
struct KeptJobs {
  std::vector<bool> whole;  ///< per job: nothing is to be done

  /// A file that is kept and that the manifest does not know as it is.
  struct Found {
    std::size_t position = 0;  ///< of its job
    FileFinding file;
  };
  std::vector<Found> found;

  std::int64_t kept = 0;  ///< whole jobs
  std::int64_t adopted = 0, rewritten = 0;
  std::int64_t torn = 0;    ///< files that are rendered again
  std::int64_t failed = 0;  ///< jobs whose latest record is a failure: they are tried again
};

/// On root, with the lock of the folder held: what earlier runs left.
class KeptJobsSearch {
 public:
  /// Merges what they recorded. Throws Error(storage).
  explicit KeptJobsSearch(const RunSettings& settings);
  ~KeptJobsSearch();

  /// Looks at the file of every job. Jobs of several calls come by rising index: rounds of a list.
  /// Writes nothing. Throws InputError(busy_output) if files would be replaced and `may_replace` is
  /// false, InputError(bad_output), Error(storage).
  KeptJobs look_at(std::span<const RenderJob> jobs, bool may_replace);

  /// After the last call: tells what of the manifest no job was asked for.
  void finish();

 private:
  class Inspection;
  std::unique_ptr<Inspection> inspection_;
};

/// Records the files that were found. Throws Error(storage).
void record_found(const RunSettings& settings, std::span<const RenderJob> jobs,
                  const KeptJobs& kept);

/// What the manifest says of a job before anything is known of its end.
ManifestRecord manifest_record_of(const RenderJob& job, const RunSettings& settings);

}  // namespace diffuse
