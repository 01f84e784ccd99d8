#include "apps/diffuse_batch/job_list.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <random>
#include <span>
#include <system_error>
#include <utility>

#include "apps/diffuse_batch/latent_file.hpp"
#include "apps/diffuse_batch/list_rules.hpp"
#include "apps/diffuse_batch/overviews.hpp"
#include "apps/diffuse_batch/prompt_rounds.hpp"
#include "apps/diffuse_batch/settle.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/io/manifest.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kLinesAtOnce = 10'000;

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

// Everything that decides the bytes of pictures, or which file holds which picture. How they come
// to be made (ranks, batches, schedule, rounds, retries) is not here: a run may go on with another.
RunRecord record_of(const RunSettings& settings) {
  const Options& o = settings.options;
  const auto given = Origin::given;
  RunRecord record;
  record.program_version = settings.labels.program_version;
  record.overwriting = o.overwrite;
  record.settings = {
      {"base_seed", std::to_string(settings.base_seed), o.seed ? given : Origin::drawn},
      {"clip_skip", o.clip_skip ? std::to_string(*o.clip_skip) : "none", given},
      {"device", settings.device, given},
      {"dtype", std::string(name_of(settings.dtype)), o.dtype == "auto" ? Origin::chosen : given},
      {"eta", short_number(o.eta), given},
      {"guidance_rescale", short_number(o.guidance_rescale), given},
      {"guidance_scale", short_number(o.guidance_scale), given},
      {"height", std::to_string(o.height.value_or(0)), given},
      {"input_type", o.input_type, given},
      {"instruction_set", settings.instruction_set, given},
      {"model_fingerprint", settings.fingerprint, given},
      {"name_pattern", o.name_pattern, given},
      {"negative_prompt", o.negative_prompt, given},
      {"noise_grid", o.noise_grid ? std::to_string(*o.noise_grid) : "none", given},
      {"noise_source", o.noise_source, given},
      {"num_images_per_prompt", std::to_string(o.num_images_per_prompt), given},
      {"num_inference_steps", std::to_string(o.num_inference_steps), given},
      {"output_type", o.output_type, given},
      {"prompt_weighting", o.prompt_weighting ? "webui" : "none", given},
      {"scheduler", settings.scheduler_class, given},
      {"shard_size", std::to_string(o.shard_size), given},
      {"width", std::to_string(o.width.value_or(0)), given},
  };
  return record;
}

std::uint64_t seed_recorded(const std::string& text) {
  std::uint64_t seed = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, seed);
  if (error != std::errc() || at != end) {
    throw InputError(ExitCode::busy_output,
                     "run.json names the base seed '" + printable(text, 40) + "', which is none");
  }
  return seed;
}

// Asked to go on and not to begin: a mistyped folder is not rendered into anew.
void check_something_to_resume(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / kRunRecordName, ignored)) return;
  throw InputError(ExitCode::bad_output,
                   "output folder '" + printable(folder.string()) + "' has no " + kRunRecordName +
                       ", so there is no run that --resume could go on with; name the folder of "
                       "that run, or leave --resume out");
}

void check_job_count(std::size_t jobs) {
  if (jobs <= static_cast<std::size_t>(kMaxJobs)) return;
  throw ConfigError("the list makes more than " + std::to_string(kMaxJobs) +
                    " pictures at once; split the list or lower --num-images-per-prompt");
}

DType dtype_named(const std::string& name) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    if (name == name_of(dtype)) return dtype;
  }
  throw InputError(ExitCode::busy_output,
                   "run.json names the unknown dtype '" + printable(name, 40) + "'");
}

}  // namespace

JobList JobList::read(const Options& options) {
  JobList list;
  if (!comes_in_rounds(options))
    list.list_ = read_prompt_file(options.prompts, list_rules(options));
  list.prompt_count_ = list.list_.prompts.size();
  list.output_dir_ = options.output_dir;
  list.files_ = options.output_type != "none";
  return list;
}

void JobList::expand(const RunSettings& settings) {
  const Options& o = settings.options;
  check_lines(list_.prompts, settings, o.keep_going || o.prompts == "-");
  ExpandSettings expand = expand_settings(settings);
  // In pieces, each freed when it is done: a long list and its jobs are not held twice.
  // A count of pictures may be mistyped: no more is reserved than may be made.
  const auto each = static_cast<std::size_t>(expand.num_images_per_prompt);
  jobs_.reserve(std::min(list_.prompts.size(), static_cast<std::size_t>(kMaxJobs) / each) * each);
  const std::span<PromptEntry> lines(list_.prompts);
  for (std::size_t at = 0; at < lines.size(); at += kLinesAtOnce) {
    const auto piece = lines.subspan(at, std::min(kLinesAtOnce, lines.size() - at));
    expand.first_index = first_index_ + static_cast<std::int64_t>(jobs_.size());
    for (RenderJob& job : expand_lines(piece, expand)) jobs_.push_back(std::move(job));
    check_job_count(jobs_.size());
    for (PromptEntry& line : piece) line = {};
  }
  list_.prompts = {};
  if (settings.options.input_type == "latent") take_jobs_of_latents(settings);
  kept_.whole.assign(jobs_.size(), false);
}

void JobList::take_jobs_of_latents(const RunSettings& settings) {
  for (RenderJob& job : jobs_) {
    if (!job.mistake.empty()) continue;
    RenderJob decode =
        decode_job(job.prompt, settings, settings.latent_channels, settings.scale_factor);
    decode.index = job.index;
    decode.line = job.line;
    decode.file_name = job.file_name;
    decode.name = job.name;
    decode.metadata = job.metadata;
    job = std::move(decode);
  }
}

void JobList::match_record(RunSettings& settings) {
  const std::filesystem::path folder = settings.options.output_dir;
  RunRecord wanted = record_of(settings);
  record_ = wanted;
  try {
    if (const auto recorded = read_run_record(folder)) {
      record_ = continue_run(*recorded, wanted, folder);
    }
  } catch (const InputError&) {
    // Pictures of another run: those that this one names are replaced.
    if (!settings.options.overwrite) throw;
  }
  record_.exit_code.reset();
  settings.base_seed = seed_recorded(setting_of(record_, "base_seed").value_or(""));
  settings.dtype = dtype_named(setting_of(record_, "dtype").value_or(""));
}

void JobList::open_output(RunSettings& settings, RunTimes& times) {
  const std::filesystem::path folder = settings.options.output_dir;
  if (settings.options.resume) check_something_to_resume(folder);
  prepare_output_folder(folder);
  check_overviews(settings.options);
  lock_ = std::make_unique<OutputFolderLock>(folder);
  if (lock_->taken_over()) log()->info("the lock of a run that died was taken over");
  sweep_temporaries(folder);
  if (settings.options.seed) {
    settings.base_seed = *settings.options.seed;
  } else {
    settings.base_seed = std::random_device()();  // 32 bits: all that torch's CPU generator uses
  }
  match_record(settings);
  {
    const Timed timed(times.inspecting);
    search_ = std::make_unique<KeptJobsSearch>(settings);
  }
  if (!comes_in_rounds(settings.options)) {
    take_up(settings, times);
    search_->finish();
  }
}

void JobList::begin_round(const RunSettings& settings, std::vector<PromptEntry> prompts,
                          RunTimes& times) {
  first_index_ += static_cast<std::int64_t>(job_count());
  prompt_count_ = prompts.size();
  list_.prompts = std::move(prompts);
  jobs_.clear();
  file_names_.clear();
  lines_.clear();
  take_up(settings, times);
}

void JobList::take_up(const RunSettings& settings, RunTimes& times) {
  {
    const Timed timed(times.splitting);
    expand(settings);
  }
  const Timed timed(times.inspecting);
  kept_ = search_->look_at(jobs_, record_.overwriting);
  counts_.prompts += static_cast<std::int64_t>(prompt_count_);
  counts_.pictures += static_cast<std::int64_t>(job_count());
  counts_.kept += kept_.kept;
  counts_.adopted += kept_.adopted;
  counts_.rewritten += kept_.rewritten;
}

void JobList::write_record(const RunSettings& settings) const {
  write_run_record(settings.options.output_dir, record_);
  write_found(settings);
}

void JobList::write_found(const RunSettings& settings) const {
  record_found(settings, jobs_, kept_);
}

void JobList::close_output(const RunSettings& settings, ExitCode code) {
  merge_manifest(settings.options.output_dir);
  record_.exit_code = static_cast<int>(code);
  if (code == ExitCode::ok) record_.overwriting = false;
  write_run_record(settings.options.output_dir, record_);
  lock_.reset();
}

std::vector<RenderJob> JobList::take_open_jobs() {
  file_names_.reserve(jobs_.size());
  lines_.reserve(jobs_.size());
  for (const RenderJob& job : jobs_) {
    file_names_.push_back(job.file_name);
    lines_.push_back(job.line);
  }
  if (kept_.kept == 0) return std::exchange(jobs_, {});
  std::vector<RenderJob> open;
  open.reserve(jobs_.size() - static_cast<std::size_t>(kept_.kept));
  for (std::size_t i = 0; i < jobs_.size(); ++i) {
    if (!kept_.whole[i]) open.push_back(std::move(jobs_[i]));
  }
  return open;
}

std::string JobList::path_of(std::int64_t index) const {
  if (!files_) return "";
  return (std::filesystem::path(output_dir_) / file_names_.at(position_of(index))).string();
}

std::vector<std::int64_t> JobList::kept() const {
  std::vector<std::int64_t> kept;
  for (std::size_t i = 0; i < kept_.whole.size(); ++i) {
    if (kept_.whole[i]) kept.push_back(first_index_ + static_cast<std::int64_t>(i));
  }
  return kept;
}

void JobList::sum_up(RunSummary& summary) const {
  summary.prompts = counts_.prompts;
  summary.pictures = counts_.pictures;
  summary.kept = counts_.kept;
  summary.adopted = counts_.adopted;
  summary.rewritten = counts_.rewritten;
}

}  // namespace diffuse
