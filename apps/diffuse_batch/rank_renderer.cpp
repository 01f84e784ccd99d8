#include "apps/diffuse_batch/rank_renderer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "apps/diffuse_batch/latent_file.hpp"
#include "apps/diffuse_batch/out_of_memory.hpp"
#include "apps/diffuse_batch/stop.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/io/output_folder.hpp"
#include "mpi/agreement.hpp"

namespace diffuse {
namespace {

constexpr int kHopeless = 3;  // single pictures in a row that do not fit into memory

std::int64_t milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               start)
      .count();
}

// Norms and attention of the decoder spread a value that is not finite over the whole picture, and
// it becomes black; no picture that is one, however dark, has 64 and more equal pixels.
bool is_one_colour(const Image& image) {
  constexpr std::size_t kFewPixels = std::size_t{3} * 64;
  return image.rgb.size() >= kFewPixels &&
         std::equal(image.rgb.begin() + 3, image.rgb.end(), image.rgb.begin());
}

}  // namespace

RankRenderer::RankRenderer(PictureMaker& maker, const RunSettings& settings, int rank,
                           ResultSink& sink, std::function<void(int, int)> at_step)
    : maker_(maker),
      settings_(settings),
      rank_(rank),
      sink_(sink),
      between_([tell = std::move(at_step)](int step, int steps) {
        tell(step, steps);
        return stop_requested() != Stop::at_once;
      }),
      most_at_once_(static_cast<std::size_t>(settings.batch_size)),
      files_(settings),
      decodes_(
          maker, most_at_once_, between_,
          {.decoded = [this](const RenderJob& job, RenderResult result,
                             Image image) { decoded(job, std::move(result), std::move(image)); },
           .out_of_memory =
               [this](const RenderJob& job, const std::string& what) {
                 out_of_memory({&job, 1}, what);
               }}) {}

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
  if (code == ExitCode::some_failed) return fail(std::move(result), job);
  // The picture is not at fault otherwise: it stays open, and the same command renders it.
  if (code != ExitCode::ok) return give_up(code, result.error);
  deliver(result, job);
}

void RankRenderer::deliver(const RenderResult& result, const RenderJob& job) {
  try {
    sink_.finished(result, job);
  } catch (const Error& error) {
    give_up(error.code(), error.what());
  }
}

void RankRenderer::fail(RenderResult result, const RenderJob& job) {
  if (job.padding) return;
  if (attempts_[job.index]++ < settings_.options.retries) {
    log()->warn("picture {}, tried again: {}", job.index, result.error);
    again_.push_back(job);
    return;
  }
  fail_for_good(std::move(result), job);
}

void RankRenderer::fail_for_good(RenderResult result, const RenderJob& job) {
  result.status = RenderStatus::failed;
  if (code_ == ExitCode::ok) code_ = ExitCode::some_failed;
  deliver(result, job);
  if (settings_.options.on_error == "stop") request_stop(Stop::failure);
}

void RankRenderer::give_up(ExitCode code, const std::string& problem) {
  if (mpi::severity_of(code) <= mpi::severity_of(code_)) return;
  code_ = code;
  problem_ = problem;
  // The ranks share the disk: the others would only find out one by one.
  if (code == ExitCode::storage) request_stop(Stop::failure);
}

void RankRenderer::drain() {
  for (PictureFiles::Written& written : files_.take_written()) {
    report(std::move(written.result), written.job, written.code);
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

void RankRenderer::finish_picture(const RenderJob& job, Latents latents,
                                  std::int64_t milliseconds) {
  RenderResult result = result_of(job, milliseconds);
  if (!std::all_of(latents.values.begin(), latents.values.end(),
                   [](float value) { return std::isfinite(value); })) {
    result.error =
        "the latents are not finite (the weights overflow in this dtype: try --dtype f32)";
    return fail(std::move(result), job);
  }
  if (settings_.options.output_type == "none") return report(std::move(result), job, ExitCode::ok);
  if (!job.padding) make_folder_of(settings_.options.output_dir, job.file_name);
  if (settings_.options.output_type == "latent") {
    if (!job.padding) write_latents(job, latents, std::move(result));
    return;
  }
  decodes_.add(job, std::move(result), std::move(latents));
}

void RankRenderer::decoded(const RenderJob& job, RenderResult result, Image image) {
  out_of_memory_in_a_row_ = 0;
  if (job.padding) return;
  if (is_one_colour(image)) {
    result.error =
        "the decoded picture is of one colour (the VAE overflows in this dtype: try --dtype f32)";
    return fail(std::move(result), job);
  }
  files_.write(job, std::move(result), std::move(image));
}

void RankRenderer::warn_of_cut_prompts(const std::vector<RenderJob>& batch) const {
  for (const RenderJob& job : batch) {
    if (job.padding || !job.input.empty() || !job.mistake.empty()) continue;
    const PictureMaker::CutPrompt cut = maker_.cut_from(job);
    if (cut.text.empty()) continue;
    log()->warn("line {}: the prompt has more than {} tokens; cut off: {}", job.line, cut.limit,
                printable(cut.text));
  }
}

std::vector<Latents> RankRenderer::latents_of(std::span<const RenderJob> piece) {
  const RenderJob& first = piece.front();
  if (first.input.empty()) {
    std::vector<Latents> latents =
        maker_.denoise(piece, [this, last = -1](int step, int steps) mutable {
          if (std::exchange(last, step) != step) decodes_.serve();
          return between_(step, steps);
        });
    if (latents.empty()) throw StoppedError();
    return latents;
  }
  std::vector<Latents> latents;
  try {
    latents.push_back(read_latent_file(first.input).latents);
  } catch (const InputError& error) {  // a file of latents that is gone by now
    RenderResult result = result_of(first, 0);
    result.error = error.what();
    fail(std::move(result), first);
  }
  return latents;
}

void RankRenderer::out_of_memory(std::span<const RenderJob> piece, const std::string& what) {
  if (piece.size() > 1) {
    most_at_once_ = (piece.size() + 1) / 2;
    log()->warn("{} pictures at once do not fit ({}); {} from here on", piece.size(), what,
                most_at_once_);
    return render_batch(piece);
  }
  RenderResult result = result_of(piece.front(), 0);
  result.error = what;
  fail(std::move(result), piece.front());
  if (++out_of_memory_in_a_row_ == kHopeless) give_up(ExitCode::no_device, what);
}

void RankRenderer::render_piece(std::span<const RenderJob> piece) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<Latents> latents;
  std::string problem = out_of_memory_in([&] { latents = latents_of(piece); });
  if (!problem.empty()) {
    decodes_.finish();  // what was begun before comes before
    return out_of_memory(piece, problem);
  }
  const std::int64_t each = milliseconds_since(start) / static_cast<std::int64_t>(piece.size());
  for (std::size_t i = 0; i < latents.size(); ++i) {
    problem = out_of_memory_in([&] { finish_picture(piece[i], std::move(latents[i]), each); });
    if (!problem.empty()) out_of_memory(piece.subspan(i, 1), problem);
  }
}

void RankRenderer::render_batch(std::span<const RenderJob> batch) {
  if (!batch.empty() && !batch.front().mistake.empty()) return refuse(batch);
  while (!batch.empty() && problem_.empty()) {
    // Decoding alone is done one by one.
    const std::size_t most = batch.front().input.empty() ? most_at_once_ : 1;
    const std::size_t count = std::min(most, batch.size());
    render_piece(batch.first(count));
    batch = batch.subspan(count);
  }
}

void RankRenderer::refuse(std::span<const RenderJob> batch) {
  for (const RenderJob& job : batch) {
    if (job.padding) continue;
    RenderResult result = result_of(job, 0);
    result.error = "line " + std::to_string(job.line) + ": " + job.mistake;
    fail_for_good(std::move(result), job);
  }
}

void RankRenderer::render_again() {
  if (stop_requested() != Stop::no) return;
  std::vector<RenderJob> jobs;
  jobs.swap(again_);
  for (const RenderJob& job : jobs) render_batch({&job, 1});
}

void RankRenderer::render_batches(JobSource& jobs) {
  while (problem_.empty()) {
    const std::vector<RenderJob> batch = jobs.next();
    if (batch.empty()) break;
    if (stop_requested() != Stop::no) {
      jobs_left_ = true;
      return;
    }
    warn_of_cut_prompts(batch);
    render_batch(batch);
    drain();
    sink_.batch_ended();
    render_again();
  }
  do {
    finish_pictures();
    render_again();
  } while ((!decodes_.empty() || !files_.empty() || !again_.empty()) && problem_.empty() &&
           stop_requested() == Stop::no);
}

void RankRenderer::finish_pictures() {
  decodes_.finish();
  files_.flush();
  drain();
}

template <class Step>
void RankRenderer::give_up_unless_done(const Step& step) {
  try {
    step();
  } catch (const Error& error) {
    give_up(error.code(), error.what());
  } catch (const std::exception& error) {
    give_up(ExitCode::bug, std::string(error.what()) + " (this is a bug: please report it)");
  }
}

ExitCode RankRenderer::render(JobSource& jobs) {
  give_up_unless_done([&] { render_batches(jobs); });
  // Pictures that were denoised are decoded and written, whatever ended the rest; a stop at once
  // drops those that are not decoded.
  if (stop_requested() != Stop::at_once) give_up_unless_done([&] { decodes_.finish(); });
  files_.flush();
  drain();
  give_up_unless_done([&] { sink_.all_ended(); });
  const bool jobs_left = jobs_left_ || !again_.empty() || !decodes_.empty();
  if (jobs_left && stop_requested() >= Stop::after_batch) {
    give_up(ExitCode::stopped, StoppedError().what());
  }
  return code_;
}

}  // namespace diffuse
