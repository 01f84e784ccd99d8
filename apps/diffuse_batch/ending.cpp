#include "apps/diffuse_batch/ending.hpp"

#include <algorithm>
#include <cstdint>

#include "apps/diffuse_batch/overviews.hpp"
#include "apps/diffuse_batch/profile.hpp"
#include "core/base/log.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kProfileRows = 40;

void tell_device_memory(const RunSummary& summary) {
  std::int64_t most = 0;
  for (const RunSummary::Rank& rank : summary.ranks) {
    most = std::max(most, rank.peak_device_memory);
  }
  constexpr double kGiB = 1 << 30;
  if (most > 0) log()->info("GPU memory: {:.2f} GiB at most", static_cast<double>(most) / kGiB);
}

}  // namespace

AgreedEnd finish_run(const mpi::Communicator& comm, Preparation& prepared,
                     std::optional<JobList>& list, Reporter* reporter, AgreedEnd end) {
  try {
    together(comm, [&] {
      if (!comm.is_root()) return;
      reporter->finish();
      RunSummary& summary = prepared.summary;
      summary.rendered = reporter->done() - reporter->failed();
      summary.failed = reporter->failed();
      summary.failures = reporter->failures();
      list->sum_up(summary);
      {
        const Timed timed(summary.times.merging);
        list->close_output(prepared.settings, end.code);
      }
      if (prepared.tracing) {
        log()->info("profile of rank 0:\n{}",
                    profile_table(*prepared.tracing,
                                  prepared.tracing->limits(prepared.settings.dtype), kProfileRows));
      }
      tell_device_memory(summary);
      write_overviews(reporter->paths(), prepared.settings.options);
    });
  } catch (const AgreedEnd& late) {
    // A full disk is told once, by the picture that met it first.
    if (mpi::severity_of(late.code) > mpi::severity_of(end.code)) return late;
  }
  return end;
}

}  // namespace diffuse
