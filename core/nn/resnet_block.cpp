#include "core/nn/resnet_block.hpp"

namespace diffuse {
namespace {

constexpr std::int64_t kUsualSteps = 50;  // rows of the tables of time embeddings

}  // namespace

ResnetBlock ResnetBlock::load(const WeightReader& at, const ResnetConfig& c) {
  ResnetBlock block;
  block.norm1 = GroupNorm::load(at.sub("norm1"), c.in_channels, c.norm_num_groups, c.norm_eps);
  block.norm2 = GroupNorm::load(at.sub("norm2"), c.out_channels, c.norm_num_groups, c.norm_eps);
  block.conv2 = Conv2d::load(at.sub("conv2"), {c.out_channels, c.out_channels, 3, 1, 1});
  if (c.time_embedding_dim > 0) {
    const WeightReader proj = at.sub("time_emb_proj").sized(1, kUsualSteps);
    block.conv1 = {at.conv("conv1", c.out_channels, c.in_channels, 3, 1), {}, 1, 1};
    block.time_emb_proj =
        Linear{proj.linear({""}, c.out_channels, c.time_embedding_dim),
               at.sum_of_vectors({"time_emb_proj.bias", "conv1.bias"}, c.out_channels)};
  } else {
    block.conv1 = Conv2d::load(at.sub("conv1"), {c.out_channels, c.in_channels, 3, 1, 1});
  }
  if (c.in_channels != c.out_channels) {
    block.conv_shortcut =
        Linear::load(at.sub("conv_shortcut"), c.out_channels, c.in_channels, true, true);
  }
  return block;
}

Tensor ResnetBlock::bias_table(Ops& ops, const Tensor& activated_time_embeddings) const {
  return ops.linear(activated_time_embeddings, time_emb_proj->weight,
                    {.bias = time_emb_proj->bias, .f32_output = true});
}

Tensor ResnetBlock::forward(Ops& ops, const Tensor& hidden_states, const Tensor& conv1_bias) const {
  Tensor h = norm1.forward(ops, hidden_states, Activation::silu);
  h = conv1.forward(ops, h, {}, conv1_bias);
  h = norm2.forward(ops, h, Activation::silu);
  const Tensor residual =
      conv_shortcut ? conv_shortcut->forward(ops, hidden_states) : hidden_states;
  return conv2.forward(ops, h, residual);
}

Upsample Upsample::load(const WeightReader& at, std::int64_t channels) {
  return {Conv2d::load(at.sub("conv"), {channels, channels, 3, 1, 1})};
}

Tensor Upsample::forward(Ops& ops, const Tensor& hidden_states, std::int64_t height,
                         std::int64_t width) const {
  return conv.forward(ops, ops.upsample_nearest(hidden_states, height, width));
}

}  // namespace diffuse
