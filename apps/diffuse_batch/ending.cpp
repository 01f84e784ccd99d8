#include "apps/diffuse_batch/ending.hpp"

#include "apps/diffuse_batch/overviews.hpp"
#include "apps/diffuse_batch/profile.hpp"
#include "core/base/log.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kProfileRows = 40;

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
        log()->info("profile of rank 0:\n{}", profile_table(*prepared.tracing, kProfileRows));
      }
      write_overviews(reporter->paths(), prepared.settings.options);
    });
  } catch (const AgreedEnd& late) {
    // A full disk is told once, by the picture that met it first.
    if (mpi::severity_of(late.code) > mpi::severity_of(end.code)) return late;
  }
  return end;
}

}  // namespace diffuse
