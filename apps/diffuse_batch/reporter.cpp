#include "apps/diffuse_batch/reporter.hpp"

#include <cstdio>

#include "core/base/log.hpp"

namespace diffuse {
namespace {

// Steps are worth telling only where a picture takes longer than this.
constexpr double kSlowPicture = 1.0;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Reporter::Reporter(const Setup& setup)
    : jobs_(setup.jobs),
      path_of_(setup.path_of),
      printer_(setup.print_paths ? stdout : nullptr, setup.jobs, setup.path_of),
      progress_({.mode = setup.progress,
                 .total = setup.jobs,
                 .kept = static_cast<std::int64_t>(setup.kept.size())},
                seconds_now,
                [](std::string_view text) {
                  std::fwrite(text.data(), 1, text.size(), stderr);
                  std::fflush(stderr);
                }),
      began_(seconds_now()) {
  for (const std::int64_t index : setup.kept) printer_.settle(index, true);
}

void Reporter::finished(const RenderResult& result) {
  if (printer_.settled(result.index)) return;
  const bool failed = result.status == RenderStatus::failed;
  ++done_;
  if (failed) {
    ++failed_;
    progress_.wipe();
    log()->error("picture {} failed on rank {}: {}", result.index, result.rank, result.error);
    if (failures_.size() < RunSummary::kMostFailures) {
      failures_.push_back({result.index, 0, result.error});
    }
  }
  progress_.wipe();
  printer_.settle(result.index, !failed);
  progress_.pictures(done_, failed_);
}

void Reporter::tick(int step, int steps) {
  const double each = (seconds_now() - began_) / static_cast<double>(done_ + 1);
  if (each > kSlowPicture) progress_.step(step, steps);
}

void Reporter::finish() {
  progress_.finish();
  printer_.finish();
}

std::vector<std::filesystem::path> Reporter::paths() const {
  std::vector<std::filesystem::path> all;
  for (std::int64_t index = 0; index < jobs_; ++index) {
    if (printer_.whole(index)) all.emplace_back(path_of_(index));
  }
  return all;
}

}  // namespace diffuse
