#include "core/pipeline/render_job.hpp"

#include <bit>
#include <map>
#include <tuple>

#include "core/base/error.hpp"

namespace diffuse {
namespace {

/// Settings that one recorded denoising loop is made for. Real numbers count as their bits, so that
/// a NaN, which is unequal to itself, cannot upset the order of the map. Guidance is compared by
/// value even when it is off (1 or less): models with `time_cond_proj_dim` embed it.
using BatchKey =
    std::tuple<int, int, int, int, std::uint64_t, std::uint64_t, std::uint64_t, std::string_view>;

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
          job.scheduler};
}

}  // namespace

std::string picture_file_name(std::int64_t index, std::string_view extension) {
  constexpr std::size_t kDigits = 6;
  std::string digits = std::to_string(index);
  if (digits.size() < kDigits) digits.insert(0, kDigits - digits.size(), '0');
  return digits.append(extension);
}

std::vector<RenderJob> expand_lines(std::span<const PromptLine> lines,
                                    const ExpandSettings& settings) {
  const int per_line = settings.num_images_per_prompt;
  if (per_line < 1) {
    throw ConfigError("--num-images-per-prompt is " + std::to_string(per_line) +
                      ": each prompt needs at least one picture; give 1 or more");
  }
  if (lines.size() > static_cast<std::size_t>(kMaxJobs / per_line)) {
    throw ConfigError("the list has " + std::to_string(lines.size()) + " prompts of " +
                      std::to_string(per_line) + " pictures each: more than " +
                      std::to_string(kMaxJobs) +
                      " pictures at once; split the list or lower --num-images-per-prompt");
  }

  std::vector<RenderJob> jobs;
  jobs.reserve(lines.size() * static_cast<std::size_t>(per_line));
  std::int64_t index = settings.first_index;
  for (const PromptLine& line : lines) {
    for (int k = 0; k < per_line; ++k, ++index) {
      RenderJob job = settings.settings;
      job.index = index;
      job.line = line.line;
      job.prompt = line.prompt;
      if (line.negative_prompt) job.negative_prompt = *line.negative_prompt;
      job.seed = line.seed ? *line.seed + static_cast<std::uint64_t>(k)
                           : settings.base_seed + static_cast<std::uint64_t>(index);
      job.file_name = picture_file_name(index, settings.extension);
      jobs.push_back(std::move(job));
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
