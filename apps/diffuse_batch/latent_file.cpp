#include "apps/diffuse_batch/latent_file.hpp"

#include <cstring>

#include "apps/diffuse_batch/settle.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/safetensors.hpp"

namespace diffuse {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw InputError(ExitCode::bad_list, printable(path) + ": " + why);
}

std::optional<RecordedJob> recorded_job_of(const SafetensorsFile& file) {
  const auto found = file.metadata().find(std::string(kJobKey));
  return found == file.metadata().end() ? std::nullopt : parse_job_chunk(found->second);
}

const TensorInfo& latents_of(const SafetensorsFile& file, const std::string& path) {
  const TensorInfo* info = file.find("latents");
  if (info == nullptr) refuse(path, "has no tensor \"latents\"");
  if (info->dtype != StoredDType::f32 || info->shape.size() != 4 || info->shape[0] != 1) {
    refuse(path, "\"latents\" must be F32 [1, channels, height, width]");
  }
  return *info;
}

}  // namespace

LatentFile read_latent_file(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path, ExitCode::bad_list);
  const TensorInfo& info = latents_of(file, path);
  LatentFile out;
  out.latents = {{}, info.shape[1], info.shape[2], info.shape[3]};
  const auto bytes = file.bytes(info);
  out.latents.values.resize(bytes.size() / sizeof(float));
  if (!bytes.empty()) std::memcpy(out.latents.values.data(), bytes.data(), bytes.size());
  out.recorded = recorded_job_of(file);
  return out;
}

void write_latent_file(const std::string& path, const Latents& latents, const PictureJob& job,
                       const std::string& program_version) {
  TensorToWrite tensor;
  tensor.name = "latents";
  tensor.dtype = StoredDType::f32;
  tensor.shape = {1, latents.channels, latents.height, latents.width};
  tensor.bytes = std::as_bytes(std::span(latents.values));
  write_safetensors(path, {tensor}, {{std::string(kJobKey), job_chunk_text(job, program_version)}});
}

RenderJob decode_job(const std::string& path, const RunSettings& settings, int latent_channels,
                     int scale_factor) {
  constexpr std::int64_t kMaxSide = 4096;
  const SafetensorsFile file = SafetensorsFile::open(path, ExitCode::bad_list);
  const TensorInfo& info = latents_of(file, path);
  if (info.shape[1] != latent_channels) {
    refuse(path, "has " + std::to_string(info.shape[1]) + " channels, the model's autoencoder " +
                     std::to_string(latent_channels));
  }
  if (info.shape[2] < 1 || info.shape[3] < 1 || info.shape[2] > kMaxSide ||
      info.shape[3] > kMaxSide) {
    refuse(path, "latents of this size cannot be decoded");
  }
  RenderJob job = job_template(settings.options);
  if (const auto recorded = recorded_job_of(file)) {
    const PictureJob& was = recorded->job;
    job.prompt = was.prompt;
    job.negative_prompt = was.negative_prompt;
    job.seed = was.seed;
    job.num_inference_steps = was.num_inference_steps;
    job.guidance_scale = was.guidance_scale;
    job.guidance_rescale = was.guidance_rescale;
    job.eta = was.eta;
    job.clip_skip = was.clip_skip;
    job.scheduler = was.scheduler;
    job.prompt_weighting = was.prompt_weighting;
  }
  job.height = static_cast<int>(info.shape[2]) * scale_factor;
  job.width = static_cast<int>(info.shape[3]) * scale_factor;
  job.input = path;
  return job;
}

}  // namespace diffuse
