#include "apps/diffuse_batch/settle.hpp"

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"

namespace diffuse {

std::string settings_text(const Options& o) {
  const auto optional = [](const auto& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  };
  const nlohmann::json all{o.prompts,
                           o.model,
                           o.variant,
                           o.vae,
                           o.tokenizer,
                           o.stage_dir,
                           o.dtype,
                           o.device,
                           o.num_inference_steps,
                           o.guidance_scale,
                           o.guidance_rescale,
                           optional(o.clip_skip),
                           optional(o.seed),
                           o.negative_prompt,
                           optional(o.width),
                           optional(o.height),
                           o.scheduler,
                           o.eta,
                           o.num_images_per_prompt,
                           o.noise_source,
                           optional(o.noise_grid),
                           o.output_dir,
                           o.name_pattern,
                           o.shard_size,
                           o.input_format,
                           o.keep_going,
                           o.prompt_weighting,
                           o.output_type,
                           o.input_type,
                           o.batch_size,
                           o.memory,
                           o.fast,
                           o.plans,
                           o.tune_plans,
                           o.apply_padding,
                           o.schedule,
                           o.round_size,
                           o.retries,
                           o.on_error,
                           o.overwrite,
                           o.resume,
                           o.null_ms,
                           o.contact_sheet,
                           o.contact_sheet_labels,
                           o.gallery,
                           o.json,
                           o.profile,
                           o.dry_run};
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void settle_sizes(Options& options, const StableDiffusionConfigs& configs) {
  const int factor = configs.vae.scale_factor();
  const auto settle = [&](std::optional<int>& size, const char* flag) {
    if (!size) size = configs.default_size();
    if (*size % factor != 0) {
      throw ConfigError(std::string(flag) + " " + std::to_string(*size) + " is no multiple of " +
                        std::to_string(factor) +
                        ", the factor of this model's autoencoder (nearest: " +
                        std::to_string(std::max(1, (*size + factor / 2) / factor) * factor) + ")");
    }
  };
  settle(options.width, "--width");
  settle(options.height, "--height");
  const int layers = configs.text_encoder.num_hidden_layers;
  if (options.clip_skip && *options.clip_skip > layers) {
    throw ConfigError("--clip-skip " + std::to_string(*options.clip_skip) +
                      " leaves out more layers than the text encoder has (" +
                      std::to_string(layers) + ")");
  }
}

DType choose_dtype(const std::string& flag, const std::string& device, bool all_ranks_have_bf16) {
  if (flag == "f32") return DType::f32;
  if (flag == "bf16") return DType::bf16;
  if (flag == "f16") return DType::f16;
  if (device == "cuda") return DType::f16;
  return all_ranks_have_bf16 ? DType::bf16 : DType::f32;
}

RenderJob job_template(const Options& o) {
  RenderJob job;
  job.negative_prompt = o.negative_prompt;
  job.width = o.width.value_or(0);
  job.height = o.height.value_or(0);
  job.num_inference_steps = o.num_inference_steps;
  job.guidance_scale = o.guidance_scale;
  job.guidance_rescale = o.guidance_rescale;
  job.eta = o.eta;
  job.clip_skip = o.clip_skip.value_or(-1);
  job.scheduler = o.scheduler;
  job.prompt_weighting = o.prompt_weighting;
  return job;
}

}  // namespace diffuse
