#pragma once

#include "core/nn/layers.hpp"

namespace diffuse {

struct AttentionConfig {
  std::int64_t query_dim;      // channels of hidden_states
  std::int64_t key_value_dim;  // channels of encoder_hidden_states; query_dim for self-attention
  int num_attention_heads;
  bool qkv_bias;
  bool upcast;  ///< products in f32 whatever the dtype (`upcast_attention`)
};

/// Self-attention with fused query, key and value, and output projection.
/// hidden_states [N, T, C]; returns [N, T, C], residual added.  Source: diffusers
/// `attention_processor.py`.
struct SelfAttention {
  Weight to_qkv;    // [3 C, C]
  Tensor qkv_bias;  // [3 C], or absent
  Linear to_out;
  AttentionConfig config;

  static SelfAttention load(const WeightReader& at, const AttentionConfig& config);
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& hidden_states, const Tensor& residual) const;
};

/// Cross-attention; keys and values depend on the prompt alone, so they are projected once per
/// picture.
struct CrossAttention {
  Linear to_q;
  Weight to_kv;  // [2 C, key_value_dim]
  Linear to_out;
  AttentionConfig config;

  static CrossAttention load(const WeightReader& at, const AttentionConfig& config);
  /// encoder_hidden_states [N, S, key_value_dim] -> [N, S, 2 C], keys before values.
  [[nodiscard]] Tensor key_value(Ops& ops, const Tensor& encoder_hidden_states) const;
  /// hidden_states [N, T, C], key_value [N, S, 2 C]; returns [N, T, C], residual added.
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& hidden_states, const Tensor& key_value,
                               const Tensor& residual) const;
};

/// Feed-forward of a transformer block: GEGLU to 4 C, then back to C, residual added.
/// Source: diffusers `attention.py` (FeedForward, activation_fn "geglu").
struct FeedForward {
  Linear proj;  // net.0.proj [8 C, C]
  Linear out;   // net.2 [C, 4 C]

  static FeedForward load(const WeightReader& at, std::int64_t channels);
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& hidden_states, const Tensor& residual) const;
};

}  // namespace diffuse
