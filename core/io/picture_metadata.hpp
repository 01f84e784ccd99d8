#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/png_writer.hpp"

namespace diffuse {

/// The job of one picture: all that its file tells, and nothing about the run that made it.
struct PictureJob {
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
  std::string scheduler;  ///< diffusers' class name, with what else tells its settings apart
  bool prompt_weighting = false;     ///< brackets of the prompts are weights, as in the webui
  std::string noise_source = "cpu";  ///< "cpu" or "cuda"
  std::optional<std::uint64_t> noise_grid;  ///< threads of the GPU imitated; "cuda" only
  std::string dtype;                        ///< "f32", ...
  std::string device_type;                  ///< "cpu", "cuda"
  std::string instruction_set;              ///< of that device, as the backend names it
  std::string model_fingerprint;

  bool operator==(const PictureJob&) const = default;
};

/// What the webui's text says besides, in the webui's words; it decides no byte of the pixels.
struct PictureLabels {
  std::string sampler;                      ///< "Euler a"
  std::string schedule_type = "Automatic";  ///< "Karras"
  std::string program_version;              ///< "0.1.0"
};

/// Keywords of the two text chunks.
inline constexpr std::string_view kParametersKey = "parameters";
inline constexpr std::string_view kJobKey = "diffuse-batch";

/// The webui's infotext: prompt, "Negative prompt:" line if there is one, and the line of
/// "Key: value" pairs, in the webui's order: Steps, Sampler, Schedule type, CFG scale, Seed, Size,
/// Clip skip (ours + 1, if above 1), RNG (CPU; NV for CUDA noise with a thread for each element;
/// none for an imitated GPU, which readers take as GPU), Eta DDIM and Guidance rescale if not 0,
/// Version. Numbers are as short as they can be; a value with a comma, a colon or a line end is
/// quoted as JSON. NUL, which a PNG text cannot hold, becomes a space. No model name, no path.
std::string parameters_text(const PictureJob& job, const PictureLabels& labels);

/// The job as one line of canonical JSON (keys sorted, no spaces, UTF-8): equal jobs, equal text.
/// Throws Error(bug) if a text is not UTF-8.
std::string job_json(const PictureJob& job);

/// SHA-256 of job_json() in hexadecimal digits: two pictures with the same hash have the same
/// pixels. The program's version does not enter, so that a newer one continues an older run.
std::string job_hash(const PictureJob& job);

/// The text of the chunk `diffuse-batch`:
/// {"format":1,"job":{...},"job_hash":"...","version":"..."}.
std::string job_chunk_text(const PictureJob& job, std::string_view program_version);

/// Both text chunks of a picture's file.
std::vector<PngText> picture_texts(const PictureJob& job, const PictureLabels& labels);

/// A job read back from a file.
struct RecordedJob {
  PictureJob job;
  std::string hash;  ///< as recorded
  std::string program_version;
};

/// The inverse of job_chunk_text(). Nothing if the text is not such a chunk: not JSON, another
/// format, fields missing, of the wrong type or out of range, or a hash that does not fit the job.
std::optional<RecordedJob> parse_job_chunk(std::string_view text);

/// The job among the texts of a PNG file, if there is one.
std::optional<RecordedJob> recorded_job(const std::vector<PngText>& texts);

}  // namespace diffuse
