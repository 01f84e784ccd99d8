#include "apps/diffuse_batch/rendering.hpp"

#include <string>
#include <vector>

#include "apps/diffuse_batch/exchange.hpp"
#include "apps/diffuse_batch/rank_renderer.hpp"
#include "apps/diffuse_batch/result_sink.hpp"
#include "apps/diffuse_batch/stop.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/job_codec.hpp"

namespace diffuse {
namespace {

std::string line_of_failures(std::int64_t failed, bool complete) {
  return counted(failed, "picture") + " failed, named above; " +
         (complete ? "all others are there, and the same command tries again"
                   : "the run ended there (--on-error stop), and the same command goes on");
}

}  // namespace

AgreedEnd render_together(const mpi::Communicator& comm, const RunSettings& settings,
                          Distribution& work, PictureMaker* maker, Reporter* reporter,
                          RunSummary& summary) {
  RunSummary::Rank mine{.host = comm.host()};
  Exchange exchange({.comm = comm,
                     .report = [&](const RenderResult& result) { reporter->finished(result); },
                     .tick = reporter == nullptr
                                 ? std::function<void(int, int)>()
                                 : [&](int step, int steps) { reporter->tick(step, steps); },
                     .pool = work.pool ? &*work.pool : nullptr,
                     .fetched = work.fetched});
  ResultSink sink(settings, comm.rank(),
                  [&](const RenderResult& result) { exchange.tell(result); });
  ExitCode code = ExitCode::ok;
  std::string problem;
  if (maker != nullptr) {
    const Timed timed(mine.seconds);
    RankRenderer renderer(*maker, settings, comm.rank(), sink,
                          [&](int step, int steps) { exchange.at_step(step, steps); });
    code = renderer.render(*work.jobs);
    problem = renderer.problem();
  }
  bool jobs_left = false;
  {
    const Timed timed(summary.times.rendering);
    jobs_left = exchange.finish();
  }
  summary.times.rendering += mine.seconds;
  if (jobs_left && code == ExitCode::ok && stop_requested() >= Stop::after_batch) {
    code = ExitCode::stopped;
    problem = StoppedError().what();
  }

  mine.pictures = sink.count();
  mine.peak_memory = peak_memory();
  if (maker != nullptr) {
    mine.peak_device_memory = static_cast<std::int64_t>(maker->peak_device_bytes());
  }
  const std::vector<std::string> ranks = comm.gather_bytes(0, pack_rank(mine));
  summary.ranks.resize(ranks.size());
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    RunSummary::Rank& all = summary.ranks[rank];
    const RunSummary::Rank round = unpack_rank(ranks[rank]);
    all.host = round.host;
    all.pictures += round.pictures;
    all.seconds += round.seconds;
    all.peak_memory = round.peak_memory;
    all.peak_device_memory = round.peak_device_memory;
  }

  // Nothing is missing: what came as messages comes once more, whole.
  const Timed timed(summary.times.gathering);
  const std::vector<std::string> all = comm.gather_bytes(0, sink.packed());
  together(comm, [&] {
    for (const std::string& part : all) {
      for (const RenderResult& result : unpack_results(part)) reporter->finished(result);
    }
  });
  const mpi::Agreement agreement = comm.agree(code, problem);
  AgreedEnd end{agreement.code, agreement.line()};
  if (end.code == ExitCode::some_failed && comm.is_root()) {
    end.line = line_of_failures(reporter->failed(), reporter->complete());
  }
  return end;
}

}  // namespace diffuse
