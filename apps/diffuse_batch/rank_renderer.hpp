#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "apps/diffuse_batch/decode_queue.hpp"
#include "apps/diffuse_batch/job_source.hpp"
#include "apps/diffuse_batch/picture_files.hpp"
#include "apps/diffuse_batch/picture_maker.hpp"
#include "apps/diffuse_batch/result_sink.hpp"
#include "apps/diffuse_batch/run_settings.hpp"

namespace diffuse {

/// Renders the jobs of one rank, batch by batch; pictures are decoded, where the device does that
/// beside, and files are written by threads of their own, while the next batch is denoised. A job
/// that fails is tried again (--retries), then reported, and the others go on. Looks for requests
/// to stop (stop.hpp).
class RankRenderer {
 public:
  /// `at_step` is called between ops.
  RankRenderer(PictureMaker& maker, const RunSettings& settings, int rank, ResultSink& sink,
               std::function<void(int step, int steps)> at_step);

  /// ok, some_failed, stopped, or the code of a failure after which the rest is left undone and
  /// problem() says why. Never throws: what was finished before a failure is reported.
  ExitCode render(JobSource& jobs);

  /// One line: what ended the rendering early.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void render_batches(JobSource& jobs);
  void render_batch(std::span<const RenderJob> batch);
  void render_piece(std::span<const RenderJob> piece);
  /// Denoised, or read from the file that the job names. Empty if that failed.
  std::vector<Latents> latents_of(std::span<const RenderJob> piece);
  void warn_of_cut_prompts(const std::vector<RenderJob>& batch) const;
  void finish_picture(const RenderJob& job, Latents latents, std::int64_t milliseconds);
  void decoded(const RenderJob& job, RenderResult result, Image image);
  void write_latents(const RenderJob& job, const Latents& latents, RenderResult result);
  void out_of_memory(std::span<const RenderJob> piece, const std::string& what);

  /// A job ended with this code; result.error says why if it is not ok.
  void report(RenderResult result, const RenderJob& job, ExitCode code);
  void deliver(const RenderResult& result, const RenderJob& job);
  void fail(RenderResult result, const RenderJob& job);
  void fail_for_good(RenderResult result, const RenderJob& job);
  /// Jobs of lines with mistakes.
  void refuse(std::span<const RenderJob> batch);
  void give_up(ExitCode code, const std::string& problem);
  /// Reports the files that were written.
  void drain();
  /// Waits for all pictures that were denoised, and reports them.
  void finish_pictures();
  void render_again();
  template <class Step>
  void give_up_unless_done(const Step& step);
  [[nodiscard]] RenderResult result_of(const RenderJob& job, std::int64_t milliseconds) const;

  PictureMaker& maker_;
  const RunSettings& settings_;
  int rank_;
  ResultSink& sink_;
  StepObserver between_;
  ExitCode code_ = ExitCode::ok;
  std::string problem_;
  bool jobs_left_ = false;
  std::size_t most_at_once_;  // pictures that fit into memory together, as far as known
  int out_of_memory_in_a_row_ = 0;
  std::map<std::int64_t, int> attempts_;  // by index, of jobs that failed before
  std::vector<RenderJob> again_;

  PictureFiles files_;
  DecodeQueue decodes_;
};

}  // namespace diffuse
