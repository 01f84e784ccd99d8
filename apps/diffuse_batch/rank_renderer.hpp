#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "apps/diffuse_batch/job_source.hpp"
#include "apps/diffuse_batch/picture_maker.hpp"
#include "apps/diffuse_batch/result_sink.hpp"
#include "apps/diffuse_batch/run_settings.hpp"
#include "core/io/png_writer.hpp"

namespace diffuse {

/// Renders the jobs of one rank, batch by batch; files are written by threads of their own while
/// the next batch is computed.
class RankRenderer {
 public:
  /// `between` is called between ops: false drops the batch in hand and stops.
  RankRenderer(PictureMaker& maker, const RunSettings& settings, int rank, ResultSink& sink,
               StepObserver between);

  /// ok, some_failed, stopped, or the code of a failure after which the rest is left undone and
  /// problem() says why. Never throws: what was finished before a failure is reported.
  ExitCode render(JobSource& jobs);

  /// One line: what ended the rendering early.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void render_batch(const std::vector<RenderJob>& batch);
  /// Denoised, or read from the files that the jobs name.
  std::vector<Latents> latents_of(const std::vector<RenderJob>& batch);
  void warn_of_cut_prompts(const std::vector<RenderJob>& batch) const;
  void finish_picture(const RenderJob& job, const Latents& latents, std::int64_t milliseconds);
  void write_latents(const RenderJob& job, const Latents& latents, RenderResult result);
  void report(RenderResult result, const RenderJob& job, ExitCode code);
  void render_batches(JobSource& jobs);
  void give_up(ExitCode code, const std::string& problem);
  void drain();
  [[nodiscard]] RenderResult result_of(const RenderJob& job, std::int64_t milliseconds) const;

  /// A picture handed to the writers, not yet reported.
  struct Submitted {
    RenderJob job;
    RenderResult result;
  };

  PictureMaker& maker_;
  const RunSettings& settings_;
  int rank_;
  ResultSink& sink_;
  StepObserver between_;
  ExitCode code_ = ExitCode::ok;
  std::string problem_;
  bool stopped_ = false;

  std::mutex mutex_;  // guards written_, filled by the writer threads
  std::vector<PngWriterPool::Result> written_;
  std::vector<Submitted> submitted_;
  PngWriterPool writers_;  // last: its threads use the members above
};

}  // namespace diffuse
