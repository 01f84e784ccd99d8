#include "core/io/ldm_layout.hpp"

#include <map>

#include "io_test_files.hpp"
#include "safetensors_bytes.hpp"

namespace diffuse {
namespace {

using test::bad_model_message;
using test::put;
using test::TemporaryFolder;

using Shape = std::vector<std::int64_t>;

std::string translated(Component component, const std::string& name, const Shape& shape = {1}) {
  const auto key = ldm_keys(component)({name, StoredDType::f32, shape, 0, 0});
  return key ? key->name : "";
}

TEST_CASE("the UNet's names are translated as diffusers' converter does", "[ldm_layout]") {
  // Pairs from a checkpoint of SD 1.5 and the keys of UNet2DConditionModel.
  const std::vector<std::pair<std::string, std::string>> names = {
      {"time_embed.0.weight", "time_embedding.linear_1.weight"},
      {"time_embed.2.bias", "time_embedding.linear_2.bias"},
      {"input_blocks.0.0.weight", "conv_in.weight"},
      {"input_blocks.1.0.in_layers.0.weight", "down_blocks.0.resnets.0.norm1.weight"},
      {"input_blocks.2.0.in_layers.2.bias", "down_blocks.0.resnets.1.conv1.bias"},
      {"input_blocks.1.0.emb_layers.1.weight", "down_blocks.0.resnets.0.time_emb_proj.weight"},
      {"input_blocks.1.0.out_layers.0.bias", "down_blocks.0.resnets.0.norm2.bias"},
      {"input_blocks.1.0.out_layers.3.weight", "down_blocks.0.resnets.0.conv2.weight"},
      {"input_blocks.4.0.skip_connection.weight", "down_blocks.1.resnets.0.conv_shortcut.weight"},
      {"input_blocks.1.1.norm.weight", "down_blocks.0.attentions.0.norm.weight"},
      {"input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight",
       "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight"},
      {"input_blocks.3.0.op.weight", "down_blocks.0.downsamplers.0.conv.weight"},
      {"input_blocks.9.0.op.bias", "down_blocks.2.downsamplers.0.conv.bias"},
      {"input_blocks.11.0.out_layers.3.weight", "down_blocks.3.resnets.1.conv2.weight"},
      {"middle_block.0.in_layers.0.weight", "mid_block.resnets.0.norm1.weight"},
      {"middle_block.1.proj_in.weight", "mid_block.attentions.0.proj_in.weight"},
      {"middle_block.2.out_layers.3.bias", "mid_block.resnets.1.conv2.bias"},
      {"output_blocks.0.0.skip_connection.bias", "up_blocks.0.resnets.0.conv_shortcut.bias"},
      {"output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"},
      {"output_blocks.3.1.proj_out.weight", "up_blocks.1.attentions.0.proj_out.weight"},
      {"output_blocks.5.2.conv.weight", "up_blocks.1.upsamplers.0.conv.weight"},
      {"output_blocks.11.1.transformer_blocks.0.ff.net.0.proj.bias",
       "up_blocks.3.attentions.2.transformer_blocks.0.ff.net.0.proj.bias"},
      {"out.0.weight", "conv_norm_out.weight"},
      {"out.2.bias", "conv_out.bias"},
  };
  for (const auto& [ldm, diffusers] : names) {
    CHECK(translated(Component::unet, "model.diffusion_model." + ldm) == diffusers);
  }
}

TEST_CASE("the VAE's names are translated as diffusers' converter does", "[ldm_layout]") {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"encoder.conv_in.weight", "encoder.conv_in.weight"},
      {"encoder.down.0.block.1.norm2.weight", "encoder.down_blocks.0.resnets.1.norm2.weight"},
      {"encoder.down.2.downsample.conv.bias", "encoder.down_blocks.2.downsamplers.0.conv.bias"},
      {"encoder.mid.block_1.conv1.weight", "encoder.mid_block.resnets.0.conv1.weight"},
      {"decoder.mid.block_2.norm1.bias", "decoder.mid_block.resnets.1.norm1.bias"},
      {"decoder.mid.attn_1.norm.weight", "decoder.mid_block.attentions.0.group_norm.weight"},
      {"decoder.mid.attn_1.q.bias", "decoder.mid_block.attentions.0.to_q.bias"},
      {"decoder.mid.attn_1.proj_out.weight", "decoder.mid_block.attentions.0.to_out.0.weight"},
      {"decoder.up.3.block.0.conv1.weight", "decoder.up_blocks.0.resnets.0.conv1.weight"},
      {"decoder.up.0.block.2.nin_shortcut.weight",
       "decoder.up_blocks.3.resnets.2.conv_shortcut.weight"},
      {"decoder.up.1.upsample.conv.weight", "decoder.up_blocks.2.upsamplers.0.conv.weight"},
      {"decoder.norm_out.bias", "decoder.conv_norm_out.bias"},
      {"post_quant_conv.weight", "post_quant_conv.weight"},
      {"quant_conv.bias", "quant_conv.bias"},
      {"loss.discriminator.main.0.weight", ""},
  };
  for (const auto& [ldm, diffusers] : names) {
    CHECK(translated(Component::vae, "first_stage_model." + ldm) == diffusers);
  }
  const auto linear = ldm_keys(Component::vae)(
      {"first_stage_model.decoder.mid.attn_1.k.weight", StoredDType::f32, {8, 8, 1, 1}, 0, 0});
  CHECK(linear->shape == Shape{8, 8});
}

TEST_CASE("entries of other components and hostile names belong to none", "[ldm_layout]") {
  for (const std::string name :
       {"model_ema.diffusion_modelinput_blocks00weight", "alphas_cumprod", "model.diffusion_model.",
        "model.diffusion_model.input_blocks.99.0.op.weight",
        "model.diffusion_model.input_blocks.999999999999.0.weight",
        "model.diffusion_model.input_blocks.-1.0.weight", "model.diffusion_model.input_blocks.1",
        "model.diffusion_model.middle_block.3.x", "model.diffusion_model.label_emb.0.0.weight",
        "first_stage_model.decoder.up.0.block.0.conv1.weight"}) {
    INFO(name);
    CHECK(translated(Component::unet, name).empty());
  }
  CHECK(translated(Component::vae, "first_stage_model.decoder.up.4.block.0.conv1.weight").empty());
  CHECK(translated(Component::text_encoder,
                   "cond_stage_model.transformer.text_model.final_layer_norm.bias") ==
        "text_model.final_layer_norm.bias");
  CHECK(translated(Component::text_encoder, "cond_stage_model.transformer.final_layer_norm.bias") ==
        "text_model.final_layer_norm.bias");
}

/// A file of zeros with these tensors.
SafetensorsFile file_of(const TemporaryFolder& folder, const std::map<std::string, Shape>& shapes) {
  const std::vector<std::byte> zeros(1U << 16);
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, shape] : shapes) {
    std::int64_t size = 1;
    for (const std::int64_t n : shape) size *= n;
    tensors.push_back(
        {name, StoredDType::u8, shape, std::span(zeros).first(static_cast<std::size_t>(size))});
  }
  write_safetensors(folder.path() / "w.safetensors", tensors, {});
  return SafetensorsFile::open(folder.path() / "w.safetensors");
}

TEST_CASE("widths of a single-file checkpoint follow from its shapes", "[ldm_layout]") {
  const TemporaryFolder folder;
  const std::string unet = "model.diffusion_model.";
  const std::string vae = "first_stage_model.decoder.up.";
  const std::string text = "cond_stage_model.transformer.text_model.";
  std::map<std::string, Shape> shapes = {
      {unet + "input_blocks.0.0.weight", {8, 4, 3, 3}},
      {unet + "input_blocks.1.0.out_layers.3.weight", {8, 8, 3, 3}},
      {unet + "input_blocks.4.0.out_layers.3.weight", {16, 16, 3, 3}},
      {unet + "input_blocks.7.0.out_layers.3.weight", {24, 16, 3, 3}},
      {unet + "input_blocks.10.0.out_layers.3.weight", {32, 16, 3, 3}},
      {unet + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", {8, 128}},
      {vae + "0.block.0.conv2.weight", {4, 4, 3, 3}},
      {vae + "1.block.0.conv2.weight", {8, 8, 3, 3}},
      {vae + "2.block.0.conv2.weight", {12, 8, 3, 3}},
      {vae + "3.block.0.conv2.weight", {16, 8, 3, 3}},
      {text + "embeddings.token_embedding.weight", {100, 128}},
      {text + "embeddings.position_embedding.weight", {77, 128}},
      {text + "encoder.layers.0.mlp.fc1.weight", {200, 128}},
      {text + "encoder.layers.1.mlp.fc1.weight", {200, 128}},
  };
  const auto file = file_of(folder, shapes);
  CHECK_NOTHROW(check_is_sd1(file, true));
  const auto unet_config = sd1_config(file, Component::unet);
  CHECK(unet_config["block_out_channels"] == std::vector<int>{8, 16, 24, 32});
  CHECK(unet_config["cross_attention_dim"] == 128);
  CHECK(unet_config["down_block_types"].size() == 4);
  CHECK(sd1_config(file, Component::vae)["block_out_channels"] == std::vector<int>{4, 8, 12, 16});
  const auto text_config = sd1_config(file, Component::text_encoder);
  CHECK(text_config["hidden_size"] == 128);
  CHECK(text_config["intermediate_size"] == 200);
  CHECK(text_config["num_hidden_layers"] == 2);
  CHECK(text_config["num_attention_heads"] == 2);
  CHECK(text_config["vocab_size"] == 100);
  CHECK(text_config["architectures"].is_array());

  shapes.erase(vae + "2.block.0.conv2.weight");
  const auto lacking = file_of(folder, shapes);
  CHECK_THAT(bad_model_message([&] { (void)sd1_config(lacking, Component::vae); }),
             Catch::Contains("decoder.up.2.block.0.conv2.weight"));
}

TEST_CASE("single files that are no Stable Diffusion 1.x are refused by what they are",
          "[ldm_layout]") {
  const TemporaryFolder folder;
  const std::string first = "model.diffusion_model.input_blocks.0.0.weight";
  const std::string vae = "first_stage_model.quant_conv.weight";
  const std::string text = "cond_stage_model.transformer.text_model.final_layer_norm.bias";
  const auto refusal = [&](const std::map<std::string, Shape>& shapes, bool needs_vae = true) {
    return bad_model_message([&] { check_is_sd1(file_of(folder, shapes), needs_vae); });
  };
  CHECK_THAT(refusal({{first, {1, 4, 1, 1}}, {"conditioner.embedders.0.x", {1}}}),
             Catch::Contains("SDXL"));
  CHECK_THAT(refusal({{first, {1, 4, 1, 1}}, {"cond_stage_model.model.ln_final.bias", {1}}}),
             Catch::Contains("2.x") && Catch::Contains("OpenCLIP"));
  CHECK_THAT(refusal({{"model.diffusion_model.double_blocks.0.x", {1}}}), Catch::Contains("Flux"));
  CHECK_THAT(refusal({{"lora_unet_down_blocks_0.lora_up.weight", {1}}}), Catch::Contains("LoRA"));
  CHECK_THAT(refusal({{"down_blocks.0.resnets.0.conv1.weight", {1}}}),
             Catch::Contains("model_index.json"));
  CHECK_THAT(refusal({{first, {1, 9, 1, 1}}, {vae, {1}}, {text, {1}}}),
             Catch::Contains("inpainting"));
  CHECK_THAT(refusal({{"a", {1}}}),
             Catch::Contains("UNet") && Catch::Contains("VAE") && Catch::Contains("text encoder"));
  CHECK_THAT(refusal({{first, {1, 4, 1, 1}}, {text, {1}}}), Catch::Contains("--vae"));
  CHECK_NOTHROW(check_is_sd1(file_of(folder, {{first, {1, 4, 1, 1}}, {text, {1}}}), false));
}

}  // namespace
}  // namespace diffuse
