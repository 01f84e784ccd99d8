#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "apps/diffuse_batch/run_settings.hpp"
#include "core/io/manifest.hpp"
#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// Where a rank's results go, in the order in which its jobs end: first into the rank's own shard
/// of the manifest, then to root.
class ResultSink {
 public:
  /// `tell` brings a result to root.
  ResultSink(const RunSettings& settings, int rank, std::function<void(const RenderResult&)> tell);

  /// A job ended: its picture is whole under its final name, or it failed. Throws Error(storage) if
  /// that cannot be recorded; the picture still carries its job, and a later run adopts it.
  void finished(const RenderResult& result, const RenderJob& job);

  /// Brings the records to storage, unless that was done a moment ago: batches that take
  /// milliseconds would wait for the disk most of the time. Throws Error(storage).
  void batch_ended();
  /// The same at the end of all jobs, whatever was done before.
  void all_ended();

  /// All results of this rank, packed for the final gather.
  [[nodiscard]] std::string packed() const;
  [[nodiscard]] std::int64_t count() const { return static_cast<std::int64_t>(results_.size()); }

 private:
  const RunSettings& settings_;
  std::string host_;
  std::function<void(const RenderResult&)> tell_;
  std::vector<RenderResult> results_;
  ManifestShard shard_;
  std::chrono::steady_clock::time_point synced_;
};

}  // namespace diffuse
