#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/models/unet_2d_condition/transformer_2d.hpp"
#include "core/nn/resnet_block.hpp"

namespace diffuse {

/// unet/config.json (diffusers UNet2DConditionModel); one entry per level where a vector.
struct UNet2DConditionConfig {
  int in_channels;
  int out_channels;
  int sample_size;  // latent elements along each side of the usual picture
  bool flip_sin_to_cos;
  int freq_shift;
  std::vector<bool> down_cross_attention;  // CrossAttnDownBlock2D (true) or DownBlock2D
  std::vector<bool>
      up_cross_attention;  // CrossAttnUpBlock2D (true) or UpBlock2D, in order of up_blocks
  std::vector<std::int64_t> block_out_channels;
  std::vector<int> layers_per_block;
  std::vector<int> transformer_layers_per_block;
  std::vector<int> num_attention_heads;  // SD 1.5 calls it `attention_head_dim`
  std::vector<std::int64_t> cross_attention_dim;
  int norm_num_groups;
  float norm_eps;
  bool use_linear_projection;
  bool upcast_attention;
  std::int64_t time_embedding_dim;
  std::int64_t time_cond_proj_dim;  // 0: none; LCM models have one
};

/// A level of the UNet on its way down or up, or its middle.
struct UNetBlock {
  std::vector<ResnetBlock> resnets;
  std::vector<Transformer2D>
      attentions;  // one after each resnet, or none; the middle: between the two
  std::optional<Conv2d> downsampler;
  std::optional<Upsample> upsampler;
  std::size_t first_resnet = 0;  // index of resnets[0] in StepTables::conv1_bias
  std::size_t first_key_value =
      0;  // index of the first transformer block in UNetInputs::key_values
};

/// What the network needs of every step of a schedule, computed once before the loop.
struct StepTables {
  std::vector<Tensor> conv1_bias;  // per resnet: f32 [S, channels]
};

/// Everything that the blocks read beside the state.
struct UNetInputs {
  const StepTables& tables;
  Tensor step;                            // i32 [1]: row of the tables
  const std::vector<Tensor>& key_values;  // per cross-attention: [N, T, 2 inner]
};

/// The explicit state that travels through the blocks, so that a stage is a range of blocks.
struct UNetState {
  Tensor hidden_states;       // [N, H, W, C]
  std::vector<Tensor> skips;  // outputs of the way down, still to be used
};

/// The denoising network of Stable Diffusion.  Source: Rombach et al. 2022, arXiv:2112.10752;
/// diffusers `unet_2d_condition.py`, `unet_2d_blocks.py`.
class UNet2DConditionModel {
 public:
  static UNet2DConditionModel load(const WeightReader& at, const UNet2DConditionConfig& config);

  /// Time embeddings of all steps, projected for every resnet. `timesteps` as the scheduler hands
  /// them out; `timestep_cond` [time_cond_proj_dim] where the model has one
  /// (guidance_scale_embedding), else empty.
  [[nodiscard]] StepTables step_tables(Ops& ops, std::span<const double> timesteps,
                                       std::span<const float> timestep_cond) const;
  /// Keys and values of every cross-attention: encoder_hidden_states [N, T, cross_attention_dim].
  [[nodiscard]] std::vector<Tensor> key_values(Ops& ops, const Tensor& encoder_hidden_states) const;
  /// Shapes of what `key_values` returns, for N entries of T tokens.
  [[nodiscard]] std::vector<Shape> key_value_shapes(std::int64_t entries,
                                                    std::int64_t tokens) const;

  /// sample [N, h, w, in_channels] (scaled) -> noise_pred [N, h, w, out_channels]. Any h and w.
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& sample, const UNetInputs& inputs) const;
  [[nodiscard]] const UNet2DConditionConfig& config() const { return config_; }

 private:
  void load_down(const WeightReader& root);
  void load_mid(const WeightReader& root);
  void load_up(const WeightReader& root);
  [[nodiscard]] Transformer2DConfig transformer_config(std::size_t level) const;
  void number_blocks();

  void forward_resnet(Ops& ops, const UNetBlock& block, std::size_t index, const UNetInputs& inputs,
                      UNetState& state) const;
  void down(Ops& ops, const UNetBlock& block, const UNetInputs& inputs, UNetState& state) const;
  void mid(Ops& ops, const UNetInputs& inputs, UNetState& state) const;
  void up(Ops& ops, const UNetBlock& block, const UNetInputs& inputs, UNetState& state) const;

  UNet2DConditionConfig config_{};
  Linear time_linear_1_, time_linear_2_;
  std::optional<Weight> time_cond_proj_;
  Conv2d conv_in_, conv_out_;
  std::vector<UNetBlock> down_blocks_, up_blocks_;
  UNetBlock mid_block_;
  GroupNorm conv_norm_out_;
  std::vector<const CrossAttention*> cross_attentions() const;
};

/// Sinusoidal embedding of `width` values for each timestep, f32, row by row.
///   e[i] = t * exp(-ln(10000) i / (width / 2 - freq_shift));  [sin e, cos e], or [cos e, sin e] if
///   flipped
/// Source: Vaswani et al. 2017; diffusers `embeddings.py` (get_timestep_embedding).
std::vector<float> timestep_embeddings(std::span<const double> timesteps, std::int64_t width,
                                       bool flip_sin_to_cos, int freq_shift);

/// Embedding of the guidance scale for models distilled from guidance (LCM).
/// Source: diffusers `pipeline_stable_diffusion.py` (get_guidance_scale_embedding).
std::vector<float> guidance_scale_embedding(double guidance_scale, std::int64_t width);

}  // namespace diffuse
