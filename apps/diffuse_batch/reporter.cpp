#include "apps/diffuse_batch/reporter.hpp"

#include <algorithm>
#include <cstdio>

#include "core/base/log.hpp"

namespace diffuse {
namespace {

// Steps are worth telling only where a picture takes longer than this.
constexpr double kSlowPicture = 1.0;
constexpr std::size_t kUsualColumns = 80;
constexpr std::size_t kMostColumns = 160;     // a longer bar says no more
constexpr std::size_t kColumnsOfLogs = 4000;  // counts of hundreds of ranks

std::size_t columns_of(const Reporter::Setup& setup) {
  if (setup.ranks > 0 && setup.progress == ProgressMode::lines) return kColumnsOfLogs;
  return setup.columns == 0 ? kUsualColumns : std::min(setup.columns, kMostColumns);
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Reporter::Reporter(const Setup& setup)
    : setup_(setup),
      printer_(setup.print_paths ? stdout : nullptr, setup.path_of),
      progress_({.mode = setup.progress,
                 .total = setup.jobs,
                 .columns = columns_of(setup),
                 .interval = setup.interval,
                 .ranks = setup.ranks},
                seconds_now,
                [](std::string_view text) {
                  std::fwrite(text.data(), 1, text.size(), stderr);
                  std::fflush(stderr);
                }),
      began_(seconds_now()) {
  set_before_log([this] { progress_.wipe(); });
}

Reporter::~Reporter() { set_before_log({}); }

void Reporter::begin(std::int64_t first, std::int64_t jobs, const std::vector<std::int64_t>& kept) {
  first_ = first;
  jobs_ = jobs;
  printer_.begin(first, jobs);
  progress_.add_kept(static_cast<std::int64_t>(kept.size()));
  for (const std::int64_t index : kept) printer_.settle(index, true);
}

void Reporter::finished(const RenderResult& result) {
  if (printer_.settled(result.index)) return;
  const bool failed = result.status == RenderStatus::failed;
  ++done_;
  if (failed) {
    ++failed_;
    log()->error("picture {} failed on rank {}: {}", result.index, result.rank, result.error);
    if (failures_.size() < RunSummary::kMostFailures) {
      failures_.push_back({result.index, setup_.line_of(result.index), result.error});
    }
  }
  progress_.wipe();
  printer_.settle(result.index, !failed);
  progress_.finished_by(result.rank);
  progress_.pictures(done_, failed_);
}

void Reporter::tick(int step, int steps) {
  const double each = (seconds_now() - began_) / static_cast<double>(done_ + 1);
  if (each > kSlowPicture) progress_.step(step, steps);
}

void Reporter::end() {
  printer_.finish();
  if (!setup_.keep_paths) return;
  for (std::int64_t index = first_; index < first_ + jobs_; ++index) {
    if (printer_.whole(index)) paths_.emplace_back(setup_.path_of(index));
  }
}

void Reporter::finish() { progress_.finish(); }

}  // namespace diffuse
