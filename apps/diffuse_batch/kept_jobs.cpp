#include "apps/diffuse_batch/kept_jobs.hpp"

#include <filesystem>
#include <optional>

#include "apps/diffuse_batch/latent_file.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/io/manifest.hpp"

namespace diffuse {
namespace {

constexpr std::int64_t kFilesTold = 20;

/// The heads of a manifest, asked for by rising index.
class Heads {
 public:
  explicit Heads(const std::filesystem::path& manifest) : reader_(manifest) { step(); }

  std::optional<ManifestHead> of(std::int64_t index) {
    while (line_ && line_->index < index) step();
    if (!line_ || line_->index != index) return std::nullopt;
    std::optional<ManifestHead> head = parse_manifest_head(line_->text);
    step();
    return head;
  }
  /// How many records are left.
  std::int64_t count_rest() {
    std::int64_t count = 0;
    for (; line_; step()) ++count;
    return count;
  }
  [[nodiscard]] std::int64_t damaged() const { return reader_.damaged(); }

 private:
  void step() { line_ = reader_.next(); }

  ManifestReader reader_;
  std::optional<ManifestReader::Line> line_;
};

// A latent file under its final name is whole: it was renamed into place. Is it of this very job?
FileFinding look_at_latents(FolderView& view, const std::filesystem::path& path,
                            const std::string& name, const std::string& hash,
                            const std::optional<ManifestHead>& record) {
  FileFinding finding;
  if (!view.has(name)) return finding;
  if (record && record->job_hash == hash && view.as_recorded(name, *record)) {
    finding.state = FileState::whole;
    return finding;
  }
  finding.state = FileState::conflict;
  finding.reason = "holds something else than the latents of this job";
  try {
    const LatentFile file = read_latent_file(path.string());
    if (!file.recorded || file.recorded->hash != hash) return finding;
  } catch (const Error&) {
    return finding;
  }
  finding = describe_file(path);
  finding.state = FileState::adopted;
  return finding;
}

void merge_earlier_shards(const std::filesystem::path& folder) {
  const MergeReport merged = merge_manifest(folder);
  if (merged.torn != 0) {
    log()->info("{} left out: the run that wrote it was cut off",
                counted(merged.torn, "torn record"));
  }
  if (merged.damaged != 0) {
    log()->warn("{} of the manifest left out: what it recorded counts as missing",
                counted(merged.damaged, "damaged line"));
  }
}

}  // namespace

/// The walk over all jobs of a list.
class KeptJobsSearch::Inspection {
 public:
  explicit Inspection(const RunSettings& settings)
      : settings_(settings),
        folder_(settings.options.output_dir),
        view_(folder_),
        heads_(folder_ / kManifestName) {}

  void begin(std::size_t jobs) {
    kept_ = {};
    kept_.whole.assign(jobs, false);
  }

  void look(const RenderJob& job, std::size_t position) {
    const std::optional<ManifestHead> record = heads_.of(job.index);
    if (record && record->status == RecordStatus::failed) ++kept_.failed;
    FileFinding file = finding_of(job, record);
    switch (file.state) {
      case FileState::missing:
        return;
      case FileState::torn:
        if (++kept_.torn <= kFilesTold) {
          log()->warn("{}: not whole, rendered again", printable(job.file_name));
        }
        return;
      case FileState::conflict:
        if (conflicts_.size() < kConflictsTold) {
          conflicts_.push_back({job.line, job.file_name, file.reason});
        }
        ++conflict_count_;
        return;
      case FileState::rewritten:
        if (++kept_.rewritten <= kFilesTold) {
          log()->info("{}: changed by another program since it was rendered, kept",
                      printable(job.file_name));
        }
        break;
      case FileState::adopted:
        ++kept_.adopted;
        break;
      case FileState::whole:
        break;
    }
    kept_.whole[position] = true;
    ++kept_.kept;
    if (file.state != FileState::whole) kept_.found.push_back({position, std::move(file)});
  }

  KeptJobs end(bool may_replace) {
    if (conflict_count_ != 0 && !may_replace) {
      refuse_conflicts(folder_, conflicts_, conflict_count_);
    }
    return std::move(kept_);
  }

  void finish() {
    const std::int64_t unlisted = heads_.count_rest();
    if (unlisted != 0) {
      log()->info("the manifest has {} beyond the end of this list; such pictures stay",
                  counted(unlisted, "record"));
    }
    if (heads_.damaged() != 0) {
      log()->warn("{} of {} left out: what it recorded counts as missing",
                  counted(heads_.damaged(), "damaged line"), kManifestName);
    }
  }

 private:
  FileFinding finding_of(const RenderJob& job, const std::optional<ManifestHead>& record) {
    const std::string& type = settings_.options.output_type;
    const bool no_file = type == "none";
    if (no_file ? !record : !view_.has(job.file_name)) return {};
    const std::string hash = job_hash(picture_job(job, settings_));
    if (no_file) {
      FileFinding finding;
      if (record->status == RecordStatus::ok && record->job_hash == hash && record->path.empty()) {
        finding.state = FileState::whole;
      }
      return finding;
    }
    if (type == "latent") {
      return look_at_latents(view_, folder_ / job.file_name, job.file_name, hash, record);
    }
    return view_.look(job.file_name, hash, record);
  }

  const RunSettings& settings_;
  std::filesystem::path folder_;
  FolderView view_;
  Heads heads_;
  KeptJobs kept_;
  std::vector<FolderConflict> conflicts_;
  std::size_t conflict_count_ = 0;
};

KeptJobsSearch::KeptJobsSearch(const RunSettings& settings) {
  merge_earlier_shards(settings.options.output_dir);
  inspection_ = std::make_unique<Inspection>(settings);
}

KeptJobsSearch::~KeptJobsSearch() = default;

KeptJobs KeptJobsSearch::look_at(std::span<const RenderJob> jobs, bool may_replace) {
  inspection_->begin(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) inspection_->look(jobs[i], i);
  return inspection_->end(may_replace);
}

void KeptJobsSearch::finish() { inspection_->finish(); }

void record_found(const RunSettings& settings, std::span<const RenderJob> jobs,
                  const KeptJobs& kept) {
  if (kept.found.empty()) return;
  ManifestShard shard(settings.options.output_dir, 0);
  for (const KeptJobs::Found& found : kept.found) {
    ManifestRecord record = manifest_record_of(jobs[found.position], settings);
    record.path = jobs[found.position].file_name;
    record.sha256 = found.file.sha256;
    record.bytes = found.file.bytes;
    record.modified = found.file.modified;
    record.note = found.file.state == FileState::rewritten ? "rewritten" : "adopted";
    shard.append(record);
  }
  shard.sync();
}

ManifestRecord manifest_record_of(const RenderJob& job, const RunSettings& settings) {
  ManifestRecord record;
  record.index = job.index;
  record.line = job.line;
  record.name = job.name;
  record.metadata = job.metadata;
  record.job = picture_job(job, settings);
  record.job_hash = job_hash(record.job);
  return record;
}

}  // namespace diffuse
