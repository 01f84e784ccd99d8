#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/prompt_entry.hpp"

namespace diffuse {

/// One picture to be made: everything that decides its pixels is fixed here, before any split, so
/// that it does not matter which rank renders it, or with which neighbours.
struct RenderJob {
  std::int64_t index = 0;  ///< position among all pictures of the list, from 0
  std::int64_t line = 0;   ///< 1-based line of the list, for messages only
  std::string prompt;
  std::string negative_prompt;
  std::uint64_t seed = 0;
  int width = 0;   ///< pixels
  int height = 0;  ///< pixels
  int num_inference_steps = 0;
  double guidance_scale = 0;
  double guidance_rescale = 0;
  double eta = 0;
  int clip_skip = -1;             ///< counted as diffusers counts; -1 is its None
  std::string scheduler;          ///< empty: as the model's scheduler_config.json says
  bool prompt_weighting = false;  ///< brackets of prompts are weights, as in the webui
  bool padding = false;           ///< rendered, so that all ranks do equal steps, and then dropped
  std::string file_name;          ///< inside the output folder
  std::string input;     ///< latent file to decode instead of rendering the prompt; else empty
  std::string name;      ///< of the picture, as the list gives it; empty: none
  std::string metadata;  ///< JSON value that the list carries along, as text; empty: none
  std::string mistake;   ///< not empty: the line is wrong; nothing is rendered, the job has failed

  bool operator==(const RenderJob&) const = default;
};

/// How a job ended. A job that was never tried has no result.
enum class RenderStatus : std::uint8_t { done, failed };

/// What a rank reports about one job.
struct RenderResult {
  std::int64_t index = 0;
  RenderStatus status = RenderStatus::done;
  std::string path;   ///< of the picture, as it is to be printed
  std::string error;  ///< one line; empty unless failed
  std::uint64_t seed = 0;
  /// Its part of the batch's denoising, and its decoding, beside which other work may have run.
  std::int64_t milliseconds = 0;
  int rank = 0;

  bool operator==(const RenderResult&) const = default;
};

/// What expand_lines() needs besides the lines.
struct ExpandSettings {
  RenderJob settings;  ///< sizes, steps, guidance, scheduler, negative prompt of every job
  std::uint64_t base_seed = 0;
  int num_images_per_prompt = 1;
  std::int64_t first_index = 0;  ///< pictures of earlier rounds, when the list comes in rounds
  std::string name_pattern;      ///< of file names, see picture_file_name(); empty: the default
  std::int64_t shard_size = 0;   ///< pictures of one folder; 0: all in one
  std::string extension = ".png";
};

/// Most pictures that one call of expand_lines() makes: a mistyped count must not eat the memory.
inline constexpr std::int64_t kMaxJobs = 10'000'000;

/// The jobs of a list, in its order; picture k of a line gets
///   index = first_index + number of pictures of all lines before it + k,
///   seed  = base_seed + index, or the line's own seed + k (modulo 2^64),
///   file_name = picture_file_name(job, name_pattern, shard_size, extension),
/// and what the line says instead of the settings. A line makes as many pictures as it says, or as
/// the settings say, also if it is wrong: correcting it moves no other picture.
/// Throws ConfigError if num_images_per_prompt < 1 or the list makes more than kMaxJobs pictures.
std::vector<RenderJob> expand_lines(std::span<const PromptEntry> lines,
                                    const ExpandSettings& settings);

/// Positions in `jobs` of each batch. Jobs share a batch if their size, steps, guidance, eta,
/// clip_skip, scheduler and weighting are equal, and neither or both have mistakes; inside a batch,
/// and by their first job, batches follow the order of the list. Padding jobs count like any other.
/// Throws ConfigError if batch_size < 1.
std::vector<std::vector<std::size_t>> make_batches(std::span<const RenderJob> jobs, int batch_size);

}  // namespace diffuse
