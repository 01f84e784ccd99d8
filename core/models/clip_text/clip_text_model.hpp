#pragma once

#include <vector>

#include "core/nn/layers.hpp"

namespace diffuse {

/// text_encoder/config.json (transformers CLIPTextConfig).
struct ClipTextConfig {
  std::int64_t vocab_size;
  std::int64_t hidden_size;
  std::int64_t intermediate_size;
  int num_hidden_layers;
  int num_attention_heads;
  std::int64_t max_position_embeddings;
  float layer_norm_eps;
  Activation hidden_act;  // quick_gelu (SD 1.x) or gelu (SD 2.x)
};

/// The CLIP text transformer, pre-norm, causal.  Source: Radford et al. 2021, arXiv:2103.00020;
/// transformers `modeling_clip.py`.
class ClipTextModel {
 public:
  /// Reads below "text_model".
  static ClipTextModel load(const WeightReader& at, const ClipTextConfig& config);

  /// ids i32 [N, T] -> [N, T, hidden_size], after the final layer norm. `clip_skip` leaves out that
  /// many of the last layers, counted as diffusers counts (0 = none). Throws ShapeError if there
  /// are not as many.
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& ids, int clip_skip) const;
  [[nodiscard]] const ClipTextConfig& config() const { return config_; }

 private:
  struct Layer {
    LayerNorm layer_norm1, layer_norm2;
    Weight qkv_proj;  // q_proj, k_proj and v_proj stacked: [3 C, C]
    Tensor qkv_bias;  // [3 C]
    Linear out_proj, fc1, fc2;
  };
  static Layer load_layer(const WeightReader& at, const ClipTextConfig& config);
  [[nodiscard]] Tensor forward_layer(Ops& ops, const Layer& layer, const Tensor& hidden) const;

  ClipTextConfig config_{};
  Weight token_embedding_, position_embedding_;
  std::vector<Layer> layers_;
  LayerNorm final_layer_norm_;
};

}  // namespace diffuse
