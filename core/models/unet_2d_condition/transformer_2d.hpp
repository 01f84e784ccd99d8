#pragma once

#include <vector>

#include "core/nn/attention.hpp"

namespace diffuse {

struct Transformer2DConfig {
  std::int64_t channels;
  int num_attention_heads;
  int num_layers;
  std::int64_t cross_attention_dim;
  int norm_num_groups;
  bool use_linear_projection;
  bool upcast_attention;

  /// Width inside the blocks: heads x head_dim, which an odd head count makes smaller than
  /// `channels`.
  [[nodiscard]] std::int64_t inner_dim() const {
    return num_attention_heads * (channels / num_attention_heads);
  }
};

/// Self-attention, cross-attention and feed-forward, each after a layer norm and added to its
/// input. Source: diffusers `attention.py` (BasicTransformerBlock).
struct TransformerBlock {
  LayerNorm norm1, norm2, norm3;
  SelfAttention attn1;
  CrossAttention attn2;
  FeedForward ff;

  static TransformerBlock load(const WeightReader& at, const Transformer2DConfig& config);
  /// hidden_states [N, T, inner], key_value [N, S, 2 inner] of attn2.
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& hidden_states,
                               const Tensor& key_value) const;
};

/// Group norm, projection, transformer blocks over the pixels as tokens, projection back, plus the
/// input. Source: diffusers `transformer_2d.py`.
struct Transformer2D {
  GroupNorm norm;
  Linear proj_in, proj_out;
  std::vector<TransformerBlock> transformer_blocks;

  static Transformer2D load(const WeightReader& at, const Transformer2DConfig& config);
  /// hidden_states [N, H, W, C]; key_values: one per block, starting at `first`.
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& hidden_states,
                               const std::vector<Tensor>& key_values, std::size_t first) const;
};

}  // namespace diffuse
