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
    : printer_(stdout, setup.jobs),
      progress_({.mode = setup.progress,
                 .total = setup.jobs,
                 .kept = static_cast<std::int64_t>(setup.kept.size())},
                seconds_now,
                [](std::string_view text) {
                  std::fwrite(text.data(), 1, text.size(), stderr);
                  std::fflush(stderr);
                }),
      began_(seconds_now()) {
  for (const RenderResult& result : setup.kept) {
    paths_[result.index] = result.path;
    printer_.settle(result.index, result.path);
  }
}

void Reporter::finished(const RenderResult& result) {
  if (printer_.settled(result.index)) return;
  const bool failed = result.status == RenderStatus::failed;
  ++done_;
  if (failed) {
    ++failed_;
    progress_.wipe();
    log()->error("picture {} failed on rank {}: {}", result.index, result.rank, result.error);
  } else {
    paths_[result.index] = result.path;
  }
  progress_.wipe();
  printer_.settle(result.index, failed ? std::string() : result.path);
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
  for (const auto& [index, path] : paths_) all.emplace_back(path);
  return all;
}

}  // namespace diffuse
