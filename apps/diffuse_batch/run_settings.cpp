#include "apps/diffuse_batch/run_settings.hpp"

#include <filesystem>

#include "core/pipeline/stable_diffusion.hpp"

namespace diffuse {

PictureJob picture_job(const RenderJob& job, const RunSettings& settings) {
  PictureJob out;
  out.prompt = job.prompt;
  out.negative_prompt = job.negative_prompt;
  out.seed = job.seed;
  out.width = job.width;
  out.height = job.height;
  out.num_inference_steps = job.num_inference_steps;
  out.guidance_scale = job.guidance_scale;
  out.guidance_rescale = job.guidance_rescale;
  out.eta = job.eta;
  out.clip_skip = job.clip_skip;
  out.scheduler = job.scheduler.empty() ? settings.scheduler_class : job.scheduler;
  out.prompt_weighting = job.prompt_weighting;
  out.noise_source = settings.options.noise_source;
  out.noise_grid = settings.options.noise_grid;
  out.dtype = name_of(settings.dtype);
  out.device_type = settings.device;
  out.instruction_set = settings.instruction_set;
  out.model_fingerprint = settings.fingerprint;
  return out;
}

PictureLabels picture_labels(const RenderJob& job, const RunSettings& settings) {
  if (job.scheduler == settings.options.scheduler || settings.scheduler_file.json.empty()) {
    return settings.labels;
  }
  PictureLabels labels = settings.labels;
  const SchedulerConfig config =
      read_scheduler(settings.scheduler_file, settings.pipeline_class, job.scheduler);
  labels.sampler = sampler_display_name(config);
  labels.schedule_type = schedule_type_display_name(config);
  return labels;
}

std::string output_path(const RunSettings& settings, const RenderJob& job) {
  return (std::filesystem::path(settings.options.output_dir) / job.file_name).string();
}

}  // namespace diffuse
