#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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
  int clip_skip = -1;     ///< counted as diffusers counts; -1 is its None
  std::string scheduler;  ///< empty: as the model's scheduler_config.json says
  bool padding = false;   ///< rendered, so that all ranks do equal steps, and then dropped
  std::string file_name;  ///< inside the output folder
  std::string input;      ///< latent file to decode instead of rendering the prompt; else empty

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
  std::int64_t milliseconds = 0;
  int rank = 0;

  bool operator==(const RenderResult&) const = default;
};

/// A non-blank line of the prompt list.
struct PromptLine {
  std::int64_t line = 0;  ///< 1-based
  std::string prompt;
  std::optional<std::string> negative_prompt;  ///< instead of the run's
  std::optional<std::uint64_t> seed;           ///< instead of base seed + index
};

/// What expand_lines() needs besides the lines.
struct ExpandSettings {
  RenderJob settings;  ///< sizes, steps, guidance, scheduler, negative prompt of every job
  std::uint64_t base_seed = 0;
  int num_images_per_prompt = 1;
  std::int64_t first_index = 0;  ///< pictures of earlier rounds, when the list comes in rounds
  std::string extension = ".png";
};

/// Most pictures that one call of expand_lines() makes: a mistyped count must not eat the memory.
inline constexpr std::int64_t kMaxJobs = 10'000'000;

/// The jobs of a list, in its order; picture k of a line gets
///   index = first_index + num_images_per_prompt * (lines before it) + k,
///   seed  = base_seed + index, or the line's own seed + k (modulo 2^64),
///   file_name = picture_file_name(index, extension).
/// Throws ConfigError if num_images_per_prompt < 1 or the list makes more than kMaxJobs pictures.
std::vector<RenderJob> expand_lines(std::span<const PromptLine> lines,
                                    const ExpandSettings& settings);

/// The index in six digits or more, then the extension: "000041.png".
std::string picture_file_name(std::int64_t index, std::string_view extension);

/// Positions in `jobs` of each batch. Jobs share a batch if their size, steps, guidance, eta,
/// clip_skip and scheduler are equal; inside a batch, and by their first job, batches follow the
/// order of the list. Padding jobs count like any other. Throws ConfigError if batch_size < 1.
std::vector<std::vector<std::size_t>> make_batches(std::span<const RenderJob> jobs, int batch_size);

}  // namespace diffuse
