#include "apps/diffuse_batch/rank_renderer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "apps/diffuse_batch/latent_file.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "mpi/agreement.hpp"

namespace diffuse {
namespace {

constexpr int kWriterThreads = 1;
constexpr std::size_t kQueueCapacity = 16;

std::int64_t milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               start)
      .count();
}

}  // namespace

RankRenderer::RankRenderer(PictureMaker& maker, const RunSettings& settings, int rank,
                           ResultSink& sink, StepObserver between)
    : maker_(maker),
      settings_(settings),
      rank_(rank),
      sink_(sink),
      between_(std::move(between)),
      writers_(kWriterThreads, kQueueCapacity, [this](const PngWriterPool::Result& result) {
        const std::lock_guard lock(mutex_);
        written_.push_back(result);
      }) {}

RenderResult RankRenderer::result_of(const RenderJob& job, std::int64_t milliseconds) const {
  RenderResult result;
  result.index = job.index;
  result.path = output_path(settings_, job);
  result.seed = job.seed;
  result.milliseconds = milliseconds;
  result.rank = rank_;
  return result;
}

void RankRenderer::report(RenderResult result, const RenderJob& job, ExitCode code) {
  if (code != ExitCode::ok && code != ExitCode::some_failed) {
    // The picture is not at fault: it stays open, and the same command renders it.
    give_up(code, result.error);
    return;
  }
  if (code == ExitCode::some_failed) {
    result.status = RenderStatus::failed;
    if (code_ == ExitCode::ok) code_ = code;
  }
  sink_.finished(result, job);
}

void RankRenderer::give_up(ExitCode code, const std::string& problem) {
  if (mpi::severity_of(code) <= mpi::severity_of(code_)) return;
  code_ = code;
  problem_ = problem;
}

void RankRenderer::drain() {
  std::vector<PngWriterPool::Result> now;
  {
    const std::lock_guard lock(mutex_);
    now.swap(written_);
  }
  for (const PngWriterPool::Result& written : now) {
    const auto found = std::find_if(submitted_.begin(), submitted_.end(),
                                    [&](const auto& s) { return s.job.index == written.id; });
    Submitted submitted = std::move(*found);
    submitted_.erase(found);
    submitted.result.error = written.error;
    report(std::move(submitted.result), submitted.job, written.code);
  }
}

void RankRenderer::write_latents(const RenderJob& job, const Latents& latents,
                                 RenderResult result) {
  try {
    write_latent_file(result.path, latents, picture_job(job, settings_),
                      settings_.labels.program_version);
    report(std::move(result), job, ExitCode::ok);
  } catch (const Error& error) {
    result.error = error.what();
    report(std::move(result), job, error.code());
  }
}

void RankRenderer::finish_picture(const RenderJob& job, const Latents& latents,
                                  std::int64_t milliseconds) {
  const auto start = std::chrono::steady_clock::now();
  RenderResult result = result_of(job, milliseconds);
  if (!std::all_of(latents.values.begin(), latents.values.end(),
                   [](float value) { return std::isfinite(value); })) {
    result.error =
        "the latents are not finite (the weights overflow in this dtype: try --dtype f32)";
    if (!job.padding) report(std::move(result), job, ExitCode::some_failed);
    return;
  }
  if (settings_.options.output_type == "latent") {
    if (!job.padding) write_latents(job, latents, std::move(result));
    return;
  }
  Image image = maker_.decode(latents, between_);
  if (image.width == 0) {
    stopped_ = true;
    return;
  }
  if (job.padding) return;
  result.milliseconds += milliseconds_since(start);
  submitted_.push_back({job, result});
  writers_.submit({.id = job.index,
                   .path = result.path,
                   .width = image.width,
                   .height = image.height,
                   .rgb = std::move(image.rgb),
                   .texts = picture_texts(picture_job(job, settings_), settings_.labels)});
}

void RankRenderer::warn_of_cut_prompts(const std::vector<RenderJob>& batch) const {
  for (const RenderJob& job : batch) {
    if (job.padding || !job.input.empty()) continue;
    const PictureMaker::CutPrompt cut = maker_.cut_from(job.prompt);
    if (cut.text.empty()) continue;
    log()->warn("line {}: the prompt has more than {} tokens; cut off: {}", job.line, cut.limit,
                printable(cut.text));
  }
}

std::vector<Latents> RankRenderer::latents_of(const std::vector<RenderJob>& batch) {
  if (batch.front().input.empty()) return maker_.denoise(batch, between_);
  std::vector<Latents> latents;
  for (const RenderJob& job : batch) latents.push_back(read_latent_file(job.input).latents);
  return latents;
}

void RankRenderer::render_batch(const std::vector<RenderJob>& batch) {
  warn_of_cut_prompts(batch);
  const auto start = std::chrono::steady_clock::now();
  std::vector<Latents> latents;
  try {
    latents = latents_of(batch);
  } catch (const InputError& error) {  // a file of latents that is gone by now
    for (const RenderJob& job : batch) {
      RenderResult result = result_of(job, 0);
      result.error = error.what();
      if (!job.padding) report(std::move(result), job, ExitCode::some_failed);
    }
    return;
  }
  if (latents.empty()) {
    stopped_ = true;
    return;
  }
  const std::int64_t each = milliseconds_since(start) / static_cast<std::int64_t>(batch.size());
  for (std::size_t i = 0; i < batch.size() && !stopped_; ++i) {
    finish_picture(batch[i], latents[i], each);
  }
}

void RankRenderer::render_batches(JobSource& jobs) {
  while (!stopped_ && problem_.empty()) {
    const std::vector<RenderJob> batch = jobs.next();
    if (batch.empty()) return;
    render_batch(batch);
    drain();
  }
}

ExitCode RankRenderer::render(JobSource& jobs) {
  try {
    render_batches(jobs);
  } catch (const Error& error) {
    give_up(error.code(), error.what());
  } catch (const std::exception& error) {
    give_up(ExitCode::bug, std::string(error.what()) + " (this is a bug: please report it)");
  }
  writers_.flush();
  drain();
  if (stopped_) give_up(ExitCode::stopped, "stopped on request; the same command continues");
  return code_;
}

}  // namespace diffuse
