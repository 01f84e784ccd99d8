#include "apps/diffuse_batch/result_sink.hpp"

#include <unistd.h>

#include <array>

#include "apps/diffuse_batch/kept_jobs.hpp"
#include "core/io/output_folder.hpp"
#include "core/pipeline/job_codec.hpp"

namespace diffuse {
namespace {

constexpr std::chrono::milliseconds kSyncEvery{200};

std::string this_host() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

}  // namespace

ResultSink::ResultSink(const RunSettings& settings, int rank,
                       std::function<void(const RenderResult&)> tell)
    : settings_(settings),
      host_(this_host()),
      tell_(std::move(tell)),
      shard_(settings.options.output_dir, rank),
      synced_(std::chrono::steady_clock::now()) {}

void ResultSink::finished(const RenderResult& result, const RenderJob& job) {
  ManifestRecord record = manifest_record_of(job, settings_);
  record.milliseconds = result.milliseconds;
  record.rank = result.rank;
  record.host = host_;
  if (result.status == RenderStatus::failed) {
    record.status = RecordStatus::failed;
    record.error = result.error;
  } else if (settings_.options.output_type != "none") {
    const FileFinding file = describe_file(result.path);
    record.path = job.file_name;
    record.sha256 = file.sha256;
    record.bytes = file.bytes;
    record.modified = file.modified;
  }
  shard_.append(record);
  results_.push_back(result);
  tell_(result);
}

void ResultSink::batch_ended() {
  if (std::chrono::steady_clock::now() - synced_ >= kSyncEvery) all_ended();
}

void ResultSink::all_ended() {
  shard_.sync();
  synced_ = std::chrono::steady_clock::now();
}

std::string ResultSink::packed() const { return pack_results(results_); }

}  // namespace diffuse
