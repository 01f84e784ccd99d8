#pragma once

#include <optional>
#include <string>

#include "apps/diffuse_batch/run_settings.hpp"
#include "core/pipeline/phases.hpp"

namespace diffuse {

/// Latents on disk: one f32 tensor `latents` [1, C, h, w] as diffusers returns them, the job beside
/// it.
struct LatentFile {
  Latents latents;
  std::optional<RecordedJob> recorded;  ///< absent in files that another program wrote
};

/// Throws InputError(bad_list) that names the file.
LatentFile read_latent_file(const std::string& path);

/// Throws Error(storage or some_failed).
void write_latent_file(const std::string& path, const Latents& latents, const PictureJob& job,
                       const std::string& program_version);

/// The job of a latent file as one to be decoded: what the file records, sizes from the latents.
/// Throws InputError(bad_list), also for latents that do not fit the model.
RenderJob decode_job(const std::string& path, const RunSettings& settings, int latent_channels,
                     int scale_factor);

}  // namespace diffuse
