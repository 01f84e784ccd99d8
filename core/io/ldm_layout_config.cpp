#include <algorithm>
#include <array>

#include "core/io/ldm_layout.hpp"

namespace diffuse {
namespace {

using nlohmann::json;

constexpr const char* kUnet = "model.diffusion_model.";
constexpr const char* kVae = "first_stage_model.";
constexpr const char* kText = "cond_stage_model.transformer.";

bool has_prefix(const SafetensorsFile& file, std::string_view prefix) {
  const auto& tensors = file.tensors();
  const auto at = std::lower_bound(
      tensors.begin(), tensors.end(), prefix,
      [](const TensorInfo& tensor, std::string_view want) { return tensor.name < want; });
  return at != tensors.end() && at->name.compare(0, prefix.size(), prefix) == 0;
}

/// Dimension `axis` of a tensor that tells a width.
std::int64_t width(const SafetensorsFile& file, const std::string& name, std::size_t axis) {
  const TensorInfo* const tensor = file.find(name);
  if (tensor == nullptr || tensor->shape.size() <= axis) {
    refuse_file(file.path(), "lacks \"" + name +
                                 "\", or it has too few dimensions, so the model's widths are "
                                 "unknown (it is no whole checkpoint of Stable Diffusion 1.x)");
  }
  return tensor->shape[axis];
}

/// The text encoder's keys come with and without `text_model.`.
std::string text_prefix(const SafetensorsFile& file) {
  const std::string with = std::string(kText) + "text_model.";
  return has_prefix(file, with) ? with : kText;
}

json unet_config(const SafetensorsFile& file) {
  json widths = json::array();
  for (const int block : {1, 4, 7, 10}) {
    widths.push_back(width(
        file,
        kUnet + std::string("input_blocks.") + std::to_string(block) + ".0.out_layers.3.weight",
        0));
  }
  const std::string context = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight";
  return {{"_class_name", "UNet2DConditionModel"},
          {"act_fn", "silu"},
          {"attention_head_dim", 8},
          {"block_out_channels", widths},
          {"cross_attention_dim", width(file, kUnet + context, 1)},
          {"down_block_types", json::array({"CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                                            "CrossAttnDownBlock2D", "DownBlock2D"})},
          {"flip_sin_to_cos", true},
          {"freq_shift", 0},
          {"in_channels", 4},
          {"layers_per_block", 2},
          {"norm_eps", 1e-5},
          {"norm_num_groups", 32},
          {"out_channels", 4},
          {"sample_size", 64},
          {"up_block_types", json::array({"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
                                          "CrossAttnUpBlock2D"})}};
}

json vae_config(const SafetensorsFile& file) {
  json widths = json::array();
  for (const int level : {0, 1, 2, 3}) {
    widths.push_back(width(
        file, kVae + std::string("decoder.up.") + std::to_string(level) + ".block.0.conv2.weight",
        0));
  }
  return {{"_class_name", "AutoencoderKL"},
          {"act_fn", "silu"},
          {"block_out_channels", widths},
          {"latent_channels", 4},
          {"layers_per_block", 2},
          {"norm_num_groups", 32},
          {"out_channels", 3},
          {"sample_size", 512},
          {"scaling_factor", 0.18215},
          {"up_block_types", json::array({"UpDecoderBlock2D", "UpDecoderBlock2D",
                                          "UpDecoderBlock2D", "UpDecoderBlock2D"})}};
}

json text_config(const SafetensorsFile& file) {
  const std::string at = text_prefix(file);
  const std::int64_t hidden_size = width(file, at + "embeddings.token_embedding.weight", 1);
  int layers = 0;
  while (has_prefix(file, at + "encoder.layers." + std::to_string(layers) + ".")) ++layers;
  return {{"architectures", json::array({"CLIPTextModel"})},
          {"bos_token_id", 0},
          {"eos_token_id", 2},
          {"hidden_act", "quick_gelu"},
          {"hidden_size", hidden_size},
          {"intermediate_size", width(file, at + "encoder.layers.0.mlp.fc1.weight", 0)},
          {"layer_norm_eps", 1e-5},
          {"max_position_embeddings", width(file, at + "embeddings.position_embedding.weight", 0)},
          {"model_type", "clip_text_model"},
          {"num_attention_heads", std::max<std::int64_t>(1, hidden_size / 64)},
          {"num_hidden_layers", layers},
          {"vocab_size", width(file, at + "embeddings.token_embedding.weight", 0)}};
}

}  // namespace

void check_is_sd1(const SafetensorsFile& file, bool needs_vae) {
  struct Kind {
    std::string_view prefix, what;
  };
  constexpr std::array<Kind, 9> kForeign = {{
      {"conditioner.embedders.", "is a single-file checkpoint of SDXL, which is not supported"},
      {"cond_stage_model.model.",
       "is a single-file checkpoint of Stable Diffusion 2.x, whose text encoder is stored in the "
       "OpenCLIP form, which is not read: use the model in the diffusers folder layout"},
      {"model.diffusion_model.joint_blocks.",
       "is a checkpoint of Stable Diffusion 3, which is not "
       "supported"},
      {"model.diffusion_model.double_blocks.", "is a checkpoint of Flux, which is not supported"},
      {"double_blocks.", "is a checkpoint of Flux, which is not supported"},
      {"lora_", "is a LoRA, not a model; LoRAs are not supported"},
      {"control_model.", "is a ControlNet, not a model; ControlNets are not supported"},
      {"down_blocks.",
       "is the UNet of a diffusers folder: name the folder that holds "
       "model_index.json"},
      {"text_model.",
       "is the text encoder of a diffusers folder: name the folder that holds "
       "model_index.json"},
  }};
  for (const Kind& kind : kForeign) {
    if (has_prefix(file, kind.prefix)) refuse_file(file.path(), std::string(kind.what));
  }
  const TensorInfo* const first = file.find(std::string(kUnet) + "input_blocks.0.0.weight");
  std::string missing;
  if (first == nullptr) missing += std::string(" UNet (") + kUnet + "*)";
  if (needs_vae && !has_prefix(file, kVae))
    missing += std::string(" VAE (") + kVae + "*; or --vae)";
  if (!has_prefix(file, kText)) missing += std::string(" text encoder (") + kText + "*)";
  if (!missing.empty()) {
    refuse_file(file.path(), "is no whole checkpoint of Stable Diffusion 1.x; it lacks:" + missing);
  }
  if (first != nullptr && (first->shape.size() != 4 || first->shape[1] != 4)) {
    refuse_file(file.path(),
                "its UNet does not take 4 channels: models for inpainting and others that take a "
                "picture are not supported");
  }
}

json sd1_config(const SafetensorsFile& file, Component component) {
  if (component == Component::unet) return unet_config(file);
  if (component == Component::vae) return vae_config(file);
  return text_config(file);
}

std::string sd1_scheduler_config() {
  return R"({"_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
 "beta_start": 0.00085, "clip_sample": false, "num_train_timesteps": 1000,
 "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null})";
}

}  // namespace diffuse
