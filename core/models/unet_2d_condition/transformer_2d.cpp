#include "core/models/unet_2d_condition/transformer_2d.hpp"

namespace diffuse {
namespace {

constexpr float kLayerNormEps = 1e-5F;  // torch.nn.LayerNorm
constexpr float kGroupNormEps = 1e-6F;  // diffusers `transformer_2d.py`

}  // namespace

TransformerBlock TransformerBlock::load(const WeightReader& at, const Transformer2DConfig& c) {
  const std::int64_t inner = c.inner_dim();
  const AttentionConfig self{inner, inner, c.num_attention_heads, false, c.upcast_attention};
  const AttentionConfig cross{inner, c.cross_attention_dim, c.num_attention_heads, false,
                              c.upcast_attention};
  return {LayerNorm::load(at.sub("norm1"), inner, kLayerNormEps),
          LayerNorm::load(at.sub("norm2"), inner, kLayerNormEps),
          LayerNorm::load(at.sub("norm3"), inner, kLayerNormEps),
          SelfAttention::load(at.sub("attn1"), self),
          CrossAttention::load(at.sub("attn2"), cross),
          FeedForward::load(at.sub("ff"), inner)};
}

Tensor TransformerBlock::forward(Ops& ops, const Tensor& hidden_states,
                                 const Tensor& key_value) const {
  Tensor h = attn1.forward(ops, norm1.forward(ops, hidden_states), hidden_states);
  h = attn2.forward(ops, norm2.forward(ops, h), key_value, h);
  return ff.forward(ops, norm3.forward(ops, h), h);
}

Transformer2D Transformer2D::load(const WeightReader& at, const Transformer2DConfig& c) {
  const bool as_conv = !c.use_linear_projection;
  Transformer2D model;
  model.norm = GroupNorm::load(at.sub("norm"), c.channels, c.norm_num_groups, kGroupNormEps);
  model.proj_in = Linear::load(at.sub("proj_in"), c.inner_dim(), c.channels, true, as_conv);
  for (int i = 0; i < c.num_layers; ++i) {
    model.transformer_blocks.push_back(
        TransformerBlock::load(at.sub("transformer_blocks", static_cast<std::size_t>(i)), c));
  }
  model.proj_out = Linear::load(at.sub("proj_out"), c.channels, c.inner_dim(), true, as_conv);
  return model;
}

Tensor Transformer2D::forward(Ops& ops, const Tensor& hidden_states,
                              const std::vector<Tensor>& key_values, std::size_t first) const {
  const Shape picture = hidden_states.shape();
  const Shape tokens{picture[0], picture[1] * picture[2], picture[3]};
  Tensor h = norm.forward(ops, hidden_states, Activation::none).reshape(tokens);
  h = proj_in.forward(ops, h);
  for (std::size_t i = 0; i < transformer_blocks.size(); ++i) {
    h = transformer_blocks[i].forward(ops, h, key_values.at(first + i));
  }
  return proj_out.forward(ops, h, hidden_states.reshape(tokens)).reshape(picture);
}

}  // namespace diffuse
