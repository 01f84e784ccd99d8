#include <algorithm>

#include "core/base/error.hpp"
#include "core/pipeline/config_reader.hpp"
#include "core/pipeline/stable_diffusion.hpp"

namespace diffuse {
namespace {

// Bounds that no real model comes near; they keep products of sizes far from overflow.
constexpr std::int64_t kMaxWidth = 1 << 16;
constexpr std::int64_t kMaxLayers = 1000;
constexpr std::int64_t kMaxLevels = 12;

std::vector<int> to_ints(const std::vector<std::int64_t>& values) {
  std::vector<int> out;
  out.reserve(values.size());
  for (const std::int64_t value : values) out.push_back(static_cast<int>(value));
  return out;
}

std::vector<bool> cross_blocks(const ConfigReader& c, std::string_view key, std::size_t levels,
                               const std::string& with, const std::string& without,
                               const std::vector<std::string>& fallback) {
  const std::vector<std::string> names = c.texts(key, fallback);
  if (names.size() != levels) c.refuse(key, "expected one entry per level");
  std::vector<bool> out;
  for (const std::string& name : names) {
    if (name != with && name != without) {
      c.refuse(key, "block type not supported (only " + with + " and " + without + ")");
    }
    out.push_back(name == with);
  }
  return out;
}

void refuse_foreign_unet_options(const ConfigReader& c) {
  c.only("center_input_sample", false);
  c.only("mid_block_type", "UNetMidBlock2DCrossAttn");
  c.only("only_cross_attention", false);
  c.only("mid_block_only_cross_attention", false);
  c.only("downsample_padding", 1);
  c.only("mid_block_scale_factor", 1);
  c.only("act_fn", "silu");
  c.only("dual_cross_attention", false);
  c.only("resnet_time_scale_shift", "default");
  c.only("resnet_skip_time_act", false);
  c.only("resnet_out_scale_factor", 1.0);
  c.only("time_embedding_type", "positional");
  c.only("conv_in_kernel", 3);
  c.only("conv_out_kernel", 3);
  c.only("attention_type", "default");
  c.only("class_embeddings_concat", false);
  for (const char* key :
       {"encoder_hid_dim", "encoder_hid_dim_type", "class_embed_type", "addition_embed_type",
        "num_class_embeds", "time_embedding_act_fn", "timestep_post_act", "cross_attention_norm",
        "reverse_transformer_layers_per_block", "projection_class_embeddings_input_dim"}) {
    c.only(key, nullptr);
  }
}

int read_sample_size(const ConfigReader& c, const std::string& version) {
  // StableDiffusionPipeline: a UNet saved before diffusers 0.9 with a smaller sample_size gets 64.
  const std::vector<std::int64_t> size = c.integers("sample_size", 0, 1, 8192, {{64}});
  if (size.size() > 2 || (size.size() == 2 && size[0] != size[1])) {
    c.refuse("sample_size", "not supported (only one integer)");
  }
  const bool old =
      version.rfind("0.", 0) == 0 && version.size() > 3 && version[3] == '.' && version[2] < '9';
  return old && size[0] < 64 ? 64 : static_cast<int>(size[0]);
}

UNet2DConditionConfig read_unet(const nlohmann::json& json, const std::string& file) {
  const ConfigReader c(json, file);
  refuse_foreign_unet_options(c);
  UNet2DConditionConfig out{};
  out.block_out_channels =
      c.integers("block_out_channels", 0, 1, kMaxWidth, {{320, 640, 1280, 1280}});
  const std::size_t levels = out.block_out_channels.size();
  if (levels > kMaxLevels) c.refuse("block_out_channels", "too many levels");
  out.in_channels = static_cast<int>(c.integer("in_channels", 1, 1024, 4));
  out.out_channels = static_cast<int>(c.integer("out_channels", 1, 1024, 4));
  if (out.in_channels != out.out_channels) {
    c.refuse("in_channels",
             "differs from out_channels: inpainting and other models that take a "
             "picture are not supported");
  }
  out.sample_size = read_sample_size(c, c.text("_diffusers_version", ""));
  out.flip_sin_to_cos = c.boolean("flip_sin_to_cos", true);
  out.freq_shift = static_cast<int>(c.integer("freq_shift", 0, 1, 0));
  std::vector<std::string> down(levels, "CrossAttnDownBlock2D");
  std::vector<std::string> up(levels, "CrossAttnUpBlock2D");
  down.back() = "DownBlock2D";
  up.front() = "UpBlock2D";
  out.down_cross_attention =
      cross_blocks(c, "down_block_types", levels, "CrossAttnDownBlock2D", "DownBlock2D", down);
  out.up_cross_attention =
      cross_blocks(c, "up_block_types", levels, "CrossAttnUpBlock2D", "UpBlock2D", up);
  out.layers_per_block = to_ints(
      c.integers("layers_per_block", levels, 1, kMaxLayers, std::vector<std::int64_t>(levels, 2)));
  out.transformer_layers_per_block = to_ints(c.integers(
      "transformer_layers_per_block", levels, 1, kMaxLayers, std::vector<std::int64_t>(levels, 1)));
  // `attention_head_dim` is the number of heads, by an old mistake that diffusers keeps.
  const char* heads_key =
      c.has("num_attention_heads") ? "num_attention_heads" : "attention_head_dim";
  out.num_attention_heads =
      to_ints(c.integers(heads_key, levels, 1, kMaxWidth, std::vector<std::int64_t>(levels, 8)));
  out.cross_attention_dim = c.integers("cross_attention_dim", levels, 1, kMaxWidth,
                                       std::vector<std::int64_t>(levels, 1280));
  if (std::adjacent_find(out.cross_attention_dim.begin(), out.cross_attention_dim.end(),
                         std::not_equal_to<>()) != out.cross_attention_dim.end()) {
    c.refuse("cross_attention_dim", "different widths per level are not supported");
  }
  out.norm_num_groups = static_cast<int>(c.integer("norm_num_groups", 1, kMaxWidth, 32));
  out.norm_eps = static_cast<float>(c.number("norm_eps", 1e-12, 1.0, 1e-5));
  out.use_linear_projection = c.boolean("use_linear_projection", false);
  out.upcast_attention = c.boolean("upcast_attention", false);
  out.time_embedding_dim =
      c.integer("time_embedding_dim", 1, 4 * kMaxWidth, 4 * out.block_out_channels.front());
  out.time_cond_proj_dim = c.integer("time_cond_proj_dim", 0, kMaxWidth, 0);
  if (out.time_cond_proj_dim == 1 || out.time_cond_proj_dim == 2 || out.time_cond_proj_dim == 3) {
    c.refuse("time_cond_proj_dim", "too small for an embedding");
  }
  for (std::size_t i = 0; i < levels; ++i) {
    if (out.block_out_channels[i] % out.norm_num_groups != 0) {
      c.refuse("norm_num_groups", "does not divide " + std::to_string(out.block_out_channels[i]) +
                                      " channels of block_out_channels");
    }
    if (out.num_attention_heads[i] > out.block_out_channels[i]) {
      c.refuse(heads_key, "more heads than channels");
    }
  }
  return out;
}

AutoencoderKlConfig read_vae(const nlohmann::json& json, const std::string& file) {
  const ConfigReader c(json, file);
  c.only("act_fn", "silu");
  for (const char* key : {"latents_mean", "latents_std", "shift_factor"}) c.only(key, nullptr);
  AutoencoderKlConfig out{};
  out.block_out_channels = c.integers("block_out_channels", 0, 1, kMaxWidth, {{64}});
  if (out.block_out_channels.size() > kMaxLevels) c.refuse("block_out_channels", "too many levels");
  for (const std::string& name :
       c.texts("up_block_types",
               std::vector<std::string>(out.block_out_channels.size(), "UpDecoderBlock2D"))) {
    if (name != "UpDecoderBlock2D") c.refuse("up_block_types", "block type not supported");
  }
  out.out_channels = static_cast<int>(c.integer("out_channels", 1, 1024, 3));
  if (out.out_channels != 3) c.refuse("out_channels", "not supported (only 3: pictures are RGB)");
  out.latent_channels = static_cast<int>(c.integer("latent_channels", 1, 1024, 4));
  out.layers_per_block = static_cast<int>(c.integer("layers_per_block", 1, kMaxLayers, 1));
  out.norm_num_groups = static_cast<int>(c.integer("norm_num_groups", 1, kMaxWidth, 32));
  out.scaling_factor = static_cast<float>(c.number("scaling_factor", 1e-6, 1e6, 0.18215));
  out.use_post_quant_conv = c.boolean("use_post_quant_conv", true);
  out.mid_block_add_attention = c.boolean("mid_block_add_attention", true);
  out.sample_size = static_cast<int>(c.integers("sample_size", 0, 1, 65536, {{512}}).front());
  for (const std::int64_t width : out.block_out_channels) {
    if (width % out.norm_num_groups != 0) {
      c.refuse("norm_num_groups",
               "does not divide " + std::to_string(width) + " channels of block_out_channels");
    }
  }
  return out;
}

ClipTextConfig read_text_encoder(const nlohmann::json& json, const std::string& file) {
  const ConfigReader c(json, file);
  ClipTextConfig out{};
  out.vocab_size = c.integer("vocab_size", 1, 1 << 24, 49408);
  out.hidden_size = c.integer("hidden_size", 1, kMaxWidth, 512);
  out.intermediate_size = c.integer("intermediate_size", 1, 8 * kMaxWidth, 2048);
  out.num_hidden_layers = static_cast<int>(c.integer("num_hidden_layers", 1, kMaxLayers, 12));
  out.num_attention_heads = static_cast<int>(c.integer("num_attention_heads", 1, kMaxWidth, 8));
  out.max_position_embeddings = c.integer("max_position_embeddings", 2, 1 << 16, 77);
  out.layer_norm_eps = static_cast<float>(c.number("layer_norm_eps", 1e-12, 1.0, 1e-5));
  const std::string act = c.text("hidden_act", "quick_gelu");
  if (act == "quick_gelu") {
    out.hidden_act = Activation::quick_gelu;
  } else if (act == "gelu") {
    out.hidden_act = Activation::gelu;
  } else {
    c.refuse("hidden_act", "not supported (only \"quick_gelu\" and \"gelu\")");
  }
  if (out.hidden_size % out.num_attention_heads != 0) {
    c.refuse("num_attention_heads", "does not divide hidden_size");
  }
  c.only("use_attention_mask", false);
  return out;
}

}  // namespace

SchedulerConfig read_scheduler(const SchedulerFile& file, const std::string& pipeline_class,
                               const std::string& flag) {
  return read_scheduler_config(file.json, file.file, file.class_name,
                               flag.empty() ? std::nullopt : std::optional<std::string_view>(flag),
                               pipeline_class == "StableDiffusionPipeline"
                                   ? ConfigPatches::stable_diffusion
                                   : ConfigPatches::none);
}

StableDiffusionConfigs read_configs(const ModelFolder& folder, const ClipTokenizer& tokenizer) {
  const auto config = [&](Component component) -> const ModelConfig& {
    return folder.config(component);
  };
  const ModelConfig& text = config(Component::text_encoder);
  const ModelConfig& unet = config(Component::unet);
  const ModelConfig& vae = config(Component::vae);
  StableDiffusionConfigs out{read_text_encoder(text.json, text.file),
                             read_unet(unet.json, unet.file), read_vae(vae.json, vae.file)};

  // Do the parts belong together?
  const ConfigReader text_reader(text.json, text.file);
  const ConfigReader unet_reader(unet.json, unet.file);
  const ConfigReader vae_reader(vae.json, vae.file);
  if (out.unet.cross_attention_dim.front() != out.text_encoder.hidden_size) {
    unet_reader.refuse("cross_attention_dim", "the text encoder's hidden_size is " +
                                                  std::to_string(out.text_encoder.hidden_size));
  }
  if (out.vae.latent_channels != out.unet.in_channels) {
    vae_reader.refuse("latent_channels",
                      "the UNet's in_channels is " + std::to_string(out.unet.in_channels));
  }
  if (tokenizer.vocab_size() > out.text_encoder.vocab_size) {
    text_reader.refuse("vocab_size",
                       "the tokenizer has ids up to " + std::to_string(tokenizer.vocab_size() - 1));
  }
  if (tokenizer.model_max_length() > out.text_encoder.max_position_embeddings) {
    text_reader.refuse("max_position_embeddings", "the tokenizer's model_max_length is " +
                                                      std::to_string(tokenizer.model_max_length()));
  }
  return out;
}

}  // namespace diffuse
