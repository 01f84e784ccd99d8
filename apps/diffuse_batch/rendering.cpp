#include "apps/diffuse_batch/rendering.hpp"

#include "apps/diffuse_batch/rank_renderer.hpp"
#include "apps/diffuse_batch/result_sink.hpp"
#include "core/pipeline/job_codec.hpp"

namespace diffuse {
namespace {

constexpr int kResultTag = 1;

}  // namespace

AgreedEnd render_together(const mpi::Communicator& comm, const RunSettings& settings,
                          const RankWork& work) {
  const auto report = [&](std::string_view bytes) {
    for (const RenderResult& result : unpack_results(bytes)) work.reporter->finished(result);
  };
  const auto collect = [&] {
    while (auto message = comm.poll(kResultTag)) report(message->bytes);
  };
  ResultSink sink([&](const RenderResult& result) {
    if (comm.is_root()) {
      work.reporter->finished(result);
    } else {
      comm.post(0, kResultTag, pack_results({&result, 1}));
    }
  });
  const auto between = [&](int step, int steps) {
    collect();
    if (comm.is_root()) work.reporter->tick(step, steps);
    return true;
  };
  ExitCode code = ExitCode::ok;
  std::string problem;
  if (work.maker != nullptr) {
    RankRenderer renderer(*work.maker, settings, comm.rank(), sink, between);
    code = renderer.render(work.jobs);
    problem = renderer.problem();
  }

  // Root goes on reporting what the others send until all are through.
  while (!comm.all_through(collect)) {
  }
  for (const mpi::Message& message : comm.finish_posts(kResultTag)) report(message.bytes);
  const std::vector<std::string> all = comm.gather_bytes(0, sink.packed());
  together(comm, [&] {
    for (const std::string& part : all) report(part);
  });
  const mpi::Agreement agreement = comm.agree(code, problem);
  AgreedEnd end{agreement.code, agreement.line()};
  if (end.code == ExitCode::some_failed && comm.is_root()) {
    end.line = std::to_string(work.reporter->failed()) +
               " pictures failed, named above; all others are there, and the same command tries "
               "these again";
  }
  return end;
}

}  // namespace diffuse
