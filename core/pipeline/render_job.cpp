#include "core/pipeline/render_job.hpp"

#include <bit>
#include <map>
#include <tuple>

#include "core/base/error.hpp"
#include "core/pipeline/picture_name.hpp"

namespace diffuse {
namespace {

/// Settings that one recorded denoising loop is made for. Real numbers count as their bits, so that
/// a NaN, which is unequal to itself, cannot upset the order of the map. Guidance is compared by
/// value even when it is off (1 or less): models with `time_cond_proj_dim` embed it.
using BatchKey = std::tuple<int, int, int, int, std::uint64_t, std::uint64_t, std::uint64_t,
                            std::string_view, bool, bool>;

std::uint64_t bits_of(double value) {
  return std::bit_cast<std::uint64_t>(value + 0.0);  // -0.0 becomes 0.0
}

BatchKey key_of(const RenderJob& job) {
  return {job.width,
          job.height,
          job.num_inference_steps,
          job.clip_skip,
          bits_of(job.guidance_scale),
          bits_of(job.guidance_rescale),
          bits_of(job.eta),
          job.scheduler,
          job.prompt_weighting,
          job.mistake.empty()};
}

int pictures_of(const PromptEntry& line, const ExpandSettings& settings) {
  const bool own = line.fields && line.fields->num_images_per_prompt;
  return own ? *line.fields->num_images_per_prompt : settings.num_images_per_prompt;
}

// Before memory is taken: a mistyped count must not eat it.
std::size_t count_pictures(std::span<const PromptEntry> lines, const ExpandSettings& settings) {
  std::int64_t count = 0;
  for (const PromptEntry& line : lines) {
    const int here = pictures_of(line, settings);
    if (here < 1) {
      throw ConfigError("--num-images-per-prompt is " + std::to_string(here) +
                        ": each prompt needs at least one picture; give 1 or more");
    }
    count += here;
    if (count > kMaxJobs) {
      throw ConfigError("the list has more than " + std::to_string(kMaxJobs) +
                        " pictures at line " + std::to_string(line.line) + " of " +
                        std::to_string(lines.size()) +
                        " prompts; split the list or lower --num-images-per-prompt");
    }
  }
  return static_cast<std::size_t>(count);
}

void take_fields(const PromptFields& fields, RenderJob& job) {
  job.negative_prompt = fields.negative_prompt.value_or(job.negative_prompt);
  job.width = fields.width.value_or(job.width);
  job.height = fields.height.value_or(job.height);
  job.num_inference_steps = fields.num_inference_steps.value_or(job.num_inference_steps);
  job.guidance_scale = fields.guidance_scale.value_or(job.guidance_scale);
  job.scheduler = fields.scheduler.value_or(job.scheduler);
  job.name = fields.name;
  job.metadata = fields.metadata;
  job.mistake = fields.mistake;
}

}  // namespace

std::vector<RenderJob> expand_lines(std::span<const PromptEntry> lines,
                                    const ExpandSettings& settings) {
  const std::string_view pattern =
      settings.name_pattern.empty() ? kDefaultNamePattern : settings.name_pattern;
  std::vector<RenderJob> jobs;
  jobs.reserve(count_pictures(lines, settings));
  std::int64_t index = settings.first_index;
  for (const PromptEntry& line : lines) {
    RenderJob of_line = settings.settings;
    of_line.line = line.line;
    of_line.prompt = line.prompt;
    if (line.fields) take_fields(*line.fields, of_line);
    const bool own_seed = line.fields && line.fields->seed;
    const int count = pictures_of(line, settings);
    for (int k = 0; k < count; ++k, ++index) {
      RenderJob& job = jobs.emplace_back(of_line);
      job.index = index;
      job.seed = own_seed ? *line.fields->seed + static_cast<std::uint64_t>(k)
                          : settings.base_seed + static_cast<std::uint64_t>(index);
      job.file_name = picture_file_name(job, pattern, settings.shard_size, settings.extension);
    }
  }
  return jobs;
}

std::vector<std::vector<std::size_t>> make_batches(std::span<const RenderJob> jobs,
                                                   int batch_size) {
  if (batch_size < 1) {
    throw ConfigError("--batch-size is " + std::to_string(batch_size) +
                      ": a batch needs at least one picture; give 1 or more");
  }
  std::vector<std::vector<std::size_t>> batches;
  std::map<BatchKey, std::size_t> open;  // the batch that takes the next job with these settings
  for (std::size_t position = 0; position < jobs.size(); ++position) {
    const auto [entry, is_new] = open.try_emplace(key_of(jobs[position]), batches.size());
    if (!is_new && batches[entry->second].size() == static_cast<std::size_t>(batch_size)) {
      entry->second = batches.size();
    }
    if (entry->second == batches.size()) batches.emplace_back();
    batches[entry->second].push_back(position);
  }
  return batches;
}

}  // namespace diffuse
