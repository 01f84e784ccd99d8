#pragma once

#include <optional>

#include "core/nn/layers.hpp"

namespace diffuse {

struct ResnetConfig {
  std::int64_t in_channels, out_channels;
  std::int64_t time_embedding_dim;  // 0: no time embedding (autoencoder)
  int norm_num_groups;
  float norm_eps;  // 1e-5 in the UNet (`norm_eps`), 1e-6 in the autoencoder
};

/// y = shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))) + time))).  x [N, H, W, in] -> [N, H,
/// W, out]. All pictures of a batch share the timestep, so the projected time embedding is a
/// per-channel constant of the step and rides in conv1's bias.  Source: diffusers `resnet.py`
/// (ResnetBlock2D).
struct ResnetBlock {
  GroupNorm norm1, norm2;
  Conv2d conv1, conv2;
  std::optional<Linear> time_emb_proj;  // its bias holds conv1's bias too
  std::optional<Linear> conv_shortcut;  // a 1x1 convolution

  static ResnetBlock load(const WeightReader& at, const ResnetConfig& config);
  /// conv1's bias for every step: activated time embeddings [S, time_embedding_dim] -> f32 [S,
  /// out].
  [[nodiscard]] Tensor bias_table(Ops& ops, const Tensor& activated_time_embeddings) const;
  /// `conv1_bias` f32 [out]: a row of `bias_table`, or absent where there is no time embedding.
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& hidden_states,
                               const Tensor& conv1_bias = {}) const;
};

/// Nearest upsampling to the given size, then a 3x3 convolution.  Source: diffusers
/// `upsampling.py`.
struct Upsample {
  Conv2d conv;

  static Upsample load(const WeightReader& at, std::int64_t channels);
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& hidden_states, std::int64_t height,
                               std::int64_t width) const;
};

}  // namespace diffuse
