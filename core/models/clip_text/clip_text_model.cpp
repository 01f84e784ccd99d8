#include "core/models/clip_text/clip_text_model.hpp"

#include <cmath>

#include "core/base/error.hpp"

namespace diffuse {

ClipTextModel ClipTextModel::load(const WeightReader& root, const ClipTextConfig& c) {
  const WeightReader at = root.sub("text_model").sized(1, c.max_position_embeddings);
  ClipTextModel model;
  model.config_ = c;
  const WeightReader embeddings = at.sub("embeddings");
  model.token_embedding_ = embeddings.embedding("token_embedding", c.vocab_size, c.hidden_size);
  model.position_embedding_ =
      embeddings.embedding("position_embedding", c.max_position_embeddings, c.hidden_size);
  for (int i = 0; i < c.num_hidden_layers; ++i) {
    model.layers_.push_back(load_layer(at.sub("encoder.layers", static_cast<std::size_t>(i)), c));
  }
  model.final_layer_norm_ =
      LayerNorm::load(at.sub("final_layer_norm"), c.hidden_size, c.layer_norm_eps);
  return model;
}

ClipTextModel::Layer ClipTextModel::load_layer(const WeightReader& at, const ClipTextConfig& c) {
  const WeightReader attention = at.sub("self_attn");
  const std::int64_t width = c.hidden_size;
  Layer layer;
  layer.layer_norm1 = LayerNorm::load(at.sub("layer_norm1"), width, c.layer_norm_eps);
  layer.layer_norm2 = LayerNorm::load(at.sub("layer_norm2"), width, c.layer_norm_eps);
  layer.qkv_proj = attention.linear({"q_proj", "k_proj", "v_proj"}, width, width);
  layer.qkv_bias = attention.vector({"q_proj.bias", "k_proj.bias", "v_proj.bias"}, width);
  layer.out_proj = Linear::load(attention.sub("out_proj"), width, width, true);
  layer.fc1 = Linear::load(at.sub("mlp.fc1"), c.intermediate_size, width, true);
  layer.fc2 = Linear::load(at.sub("mlp.fc2"), width, c.intermediate_size, true);
  return layer;
}

Tensor ClipTextModel::forward_layer(Ops& ops, const Layer& layer, const Tensor& hidden) const {
  const std::int64_t c = config_.hidden_size;
  const std::int64_t head_dim = c / config_.num_attention_heads;
  const Tensor qkv =
      ops.linear(layer.layer_norm1.forward(ops, hidden), layer.qkv_proj, {.bias = layer.qkv_bias});
  const Tensor attended =
      ops.attention(qkv.columns(0, c), qkv.columns(c, 2 * c), qkv.columns(2 * c, 3 * c),
                    {.heads = config_.num_attention_heads,
                     .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim))),
                     .causal = true,
                     .upcast = false});
  const Tensor h = layer.out_proj.forward(ops, attended, hidden);
  const Tensor inner =
      layer.fc1.forward(ops, layer.layer_norm2.forward(ops, h), {}, config_.hidden_act);
  return layer.fc2.forward(ops, inner, h);
}

Tensor ClipTextModel::forward(Ops& ops, const Tensor& ids, int clip_skip) const {
  if (clip_skip < 0 || static_cast<std::size_t>(clip_skip) > layers_.size()) {
    throw ShapeError("clip_skip " + std::to_string(clip_skip) + " with " +
                     std::to_string(layers_.size()) + " layers");
  }
  Tensor hidden = ops.embedding(ids, token_embedding_, position_embedding_);
  const std::size_t used = layers_.size() - static_cast<std::size_t>(clip_skip);
  for (std::size_t i = 0; i < used; ++i) {
    const auto range = ops.range("layers." + std::to_string(i));
    hidden = forward_layer(ops, layers_[i], hidden);
  }
  return final_layer_norm_.forward(ops, hidden);
}

}  // namespace diffuse
