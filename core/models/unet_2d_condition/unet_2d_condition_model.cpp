#include "core/models/unet_2d_condition/unet_2d_condition_model.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace diffuse {
namespace {

// A module's name as in the checkpoint, "resnets.1".
std::string numbered(const char* list, std::size_t index) {
  return std::string(list) + "." + std::to_string(index);
}

}  // namespace

Transformer2DConfig UNet2DConditionModel::transformer_config(std::size_t level) const {
  return {.channels = config_.block_out_channels[level],
          .num_attention_heads = config_.num_attention_heads[level],
          .num_layers = config_.transformer_layers_per_block[level],
          .cross_attention_dim = config_.cross_attention_dim[level],
          .norm_num_groups = config_.norm_num_groups,
          .use_linear_projection = config_.use_linear_projection,
          .upcast_attention = config_.upcast_attention};
}

UNet2DConditionModel UNet2DConditionModel::load(const WeightReader& root,
                                                const UNet2DConditionConfig& c) {
  const WeightReader at = root.sized_by_default(c.sample_size, c.sample_size);
  UNet2DConditionModel model;
  model.config_ = c;
  const std::int64_t first = c.block_out_channels.front();
  model.time_linear_1_ =
      Linear::load(at.sub("time_embedding.linear_1"), c.time_embedding_dim, first, true);
  model.time_linear_2_ = Linear::load(at.sub("time_embedding.linear_2"), c.time_embedding_dim,
                                      c.time_embedding_dim, true);
  if (c.time_cond_proj_dim > 0) {
    model.time_cond_proj_ =
        at.sub("time_embedding.cond_proj").linear({""}, first, c.time_cond_proj_dim);
  }
  model.conv_in_ = Conv2d::load(at.sub("conv_in"), {first, c.in_channels, 3, 1, 1});
  model.load_down(at);
  model.load_mid(at.sub("mid_block"));
  model.load_up(at);
  model.conv_norm_out_ =
      GroupNorm::load(at.sub("conv_norm_out"), first, c.norm_num_groups, c.norm_eps);
  model.conv_out_ = Conv2d::load(at.sub("conv_out"), {c.out_channels, first, 3, 1, 1});
  model.number_blocks();
  return model;
}

void UNet2DConditionModel::load_down(const WeightReader& root) {
  const UNet2DConditionConfig& c = config_;
  std::int64_t channels = c.block_out_channels.front();
  for (std::size_t level = 0; level < c.block_out_channels.size(); ++level) {
    const WeightReader at = root.sub("down_blocks", level).lowered(static_cast<int>(level));
    const std::int64_t out = c.block_out_channels[level];
    UNetBlock block;
    for (std::size_t j = 0; j < static_cast<std::size_t>(c.layers_per_block[level]); ++j) {
      block.resnets.push_back(
          ResnetBlock::load(at.sub("resnets", j),
                            {channels, out, c.time_embedding_dim, c.norm_num_groups, c.norm_eps}));
      channels = out;
      if (c.down_cross_attention[level]) {
        block.attentions.push_back(
            Transformer2D::load(at.sub("attentions", j), transformer_config(level)));
      }
    }
    if (level + 1 < c.block_out_channels.size()) {
      block.downsampler = Conv2d::load(at.sub("downsamplers.0.conv"), {out, out, 3, 2, 1});
    }
    down_blocks_.push_back(std::move(block));
  }
}

void UNet2DConditionModel::load_mid(const WeightReader& root) {
  const UNet2DConditionConfig& c = config_;
  const WeightReader at = root.lowered(static_cast<int>(c.block_out_channels.size()) - 1);
  const std::int64_t channels = c.block_out_channels.back();
  const ResnetConfig resnet{channels, channels, c.time_embedding_dim, c.norm_num_groups,
                            c.norm_eps};
  mid_block_.resnets.push_back(ResnetBlock::load(at.sub("resnets.0"), resnet));
  mid_block_.attentions.push_back(Transformer2D::load(
      at.sub("attentions.0"), transformer_config(c.block_out_channels.size() - 1)));
  mid_block_.resnets.push_back(ResnetBlock::load(at.sub("resnets.1"), resnet));
}

void UNet2DConditionModel::load_up(const WeightReader& root) {
  const UNet2DConditionConfig& c = config_;
  const std::size_t levels = c.block_out_channels.size();

  // Channels of the skips in the order in which the way down makes them.
  std::vector<std::int64_t> skips{c.block_out_channels.front()};
  for (std::size_t level = 0; level < levels; ++level) {
    const auto made =
        static_cast<std::size_t>(c.layers_per_block[level]) + (level + 1 < levels ? 1U : 0U);
    skips.insert(skips.end(), made, c.block_out_channels[level]);
  }

  std::int64_t channels = c.block_out_channels.back();
  for (std::size_t i = 0; i < levels; ++i) {
    const std::size_t level = levels - 1 - i;
    const WeightReader at = root.sub("up_blocks", i).lowered(static_cast<int>(level));
    const std::int64_t out = c.block_out_channels[level];
    UNetBlock block;
    for (std::size_t j = 0; j <= static_cast<std::size_t>(c.layers_per_block[level]); ++j) {
      block.resnets.push_back(ResnetBlock::load(
          at.sub("resnets", j),
          {channels + skips.back(), out, c.time_embedding_dim, c.norm_num_groups, c.norm_eps}));
      skips.pop_back();
      channels = out;
      if (c.up_cross_attention[i]) {
        block.attentions.push_back(
            Transformer2D::load(at.sub("attentions", j), transformer_config(level)));
      }
    }
    if (i + 1 < levels) block.upsampler = Upsample::load(at.sub("upsamplers.0").lowered(-1), out);
    up_blocks_.push_back(std::move(block));
  }
}

void UNet2DConditionModel::number_blocks() {
  std::size_t resnets = 0;
  std::size_t key_values = 0;
  const auto number = [&](UNetBlock& block) {
    block.first_resnet = resnets;
    block.first_key_value = key_values;
    resnets += block.resnets.size();
    for (const Transformer2D& t : block.attentions) key_values += t.transformer_blocks.size();
  };
  for (UNetBlock& block : down_blocks_) number(block);
  number(mid_block_);
  for (UNetBlock& block : up_blocks_) number(block);
}

StepTables UNet2DConditionModel::step_tables(Ops& ops, std::span<const double> timesteps,
                                             std::span<const float> timestep_cond) const {
  const auto steps = static_cast<std::int64_t>(timesteps.size());
  const std::int64_t width = config_.block_out_channels.front();
  const auto in_dtype = [&](const std::vector<float>& values, const Shape& shape) {
    Tensor f32 = ops.upload(values, shape);
    if (ops.dtype() == DType::f32) return f32;
    Tensor out = ops.make(ops.dtype(), shape);
    ops.copy(f32, out);
    return out;
  };

  // Time embedding: sinusoid, guidance embedding where the model has one, two linear layers.
  Tensor embedding =
      in_dtype(timestep_embeddings(timesteps, width, config_.flip_sin_to_cos, config_.freq_shift),
               {steps, width});
  if (time_cond_proj_) {
    std::vector<float> all;
    for (std::int64_t i = 0; i < steps; ++i)
      all.insert(all.end(), timestep_cond.begin(), timestep_cond.end());

    embedding = ops.linear(in_dtype(all, {steps, config_.time_cond_proj_dim}), *time_cond_proj_,
                           {.residual = embedding});
  }
  Tensor h = time_linear_1_.forward(ops, embedding, {}, Activation::silu);
  h = time_linear_2_.forward(ops, h, {}, Activation::silu);  // silu: every resnet starts with it

  StepTables tables;
  const auto add = [&](const UNetBlock& block) {
    for (const ResnetBlock& resnet : block.resnets) {
      tables.conv1_bias.push_back(resnet.bias_table(ops, h));
    }
  };
  for (const UNetBlock& block : down_blocks_) add(block);
  add(mid_block_);
  for (const UNetBlock& block : up_blocks_) add(block);
  return tables;
}

std::vector<const CrossAttention*> UNet2DConditionModel::cross_attentions() const {
  std::vector<const CrossAttention*> all;
  const auto add = [&](const UNetBlock& block) {
    for (const Transformer2D& t : block.attentions) {
      for (const TransformerBlock& b : t.transformer_blocks) all.push_back(&b.attn2);
    }
  };
  for (const UNetBlock& block : down_blocks_) add(block);
  add(mid_block_);
  for (const UNetBlock& block : up_blocks_) add(block);
  return all;
}

std::vector<Tensor> UNet2DConditionModel::key_values(Ops& ops,
                                                     const Tensor& encoder_hidden_states) const {
  std::vector<Tensor> all;
  for (const CrossAttention* attention : cross_attentions()) {
    all.push_back(attention->key_value(ops, encoder_hidden_states));
  }
  return all;
}

std::vector<Shape> UNet2DConditionModel::key_value_shapes(std::int64_t entries,
                                                          std::int64_t tokens) const {
  std::vector<Shape> all;
  for (const CrossAttention* attention : cross_attentions()) {
    all.push_back({entries, tokens, 2 * attention->config.query_dim});
  }
  return all;
}

void UNet2DConditionModel::forward_resnet(Ops& ops, const UNetBlock& block, std::size_t index,
                                          const UNetInputs& inputs, UNetState& state) const {
  const auto range = ops.range(numbered("resnets", index));
  const Tensor bias =
      ops.select_row(inputs.tables.conv1_bias[block.first_resnet + index], inputs.step);
  state.hidden_states = block.resnets[index].forward(ops, state.hidden_states, bias);
}

void UNet2DConditionModel::down(Ops& ops, const UNetBlock& block, const UNetInputs& inputs,
                                UNetState& state) const {
  std::size_t key_value = block.first_key_value;
  for (std::size_t j = 0; j < block.resnets.size(); ++j) {
    forward_resnet(ops, block, j, inputs, state);
    if (!block.attentions.empty()) {
      const auto range = ops.range(numbered("attentions", j));
      state.hidden_states =
          block.attentions[j].forward(ops, state.hidden_states, inputs.key_values, key_value);
      key_value += block.attentions[j].transformer_blocks.size();
    }
    state.skips.push_back(state.hidden_states);
  }
  if (block.downsampler) {
    state.hidden_states = block.downsampler->forward(ops, state.hidden_states);
    state.skips.push_back(state.hidden_states);
  }
}

void UNet2DConditionModel::mid(Ops& ops, const UNetInputs& inputs, UNetState& state) const {
  forward_resnet(ops, mid_block_, 0, inputs, state);
  {
    const auto range = ops.range(numbered("attentions", 0));
    state.hidden_states = mid_block_.attentions[0].forward(
        ops, state.hidden_states, inputs.key_values, mid_block_.first_key_value);
  }
  forward_resnet(ops, mid_block_, 1, inputs, state);
}

void UNet2DConditionModel::up(Ops& ops, const UNetBlock& block, const UNetInputs& inputs,
                              UNetState& state) const {
  std::size_t key_value = block.first_key_value;
  for (std::size_t j = 0; j < block.resnets.size(); ++j) {
    state.hidden_states = ops.concat_channels(state.hidden_states, state.skips.back());
    state.skips.pop_back();
    forward_resnet(ops, block, j, inputs, state);
    if (!block.attentions.empty()) {
      const auto range = ops.range(numbered("attentions", j));
      state.hidden_states =
          block.attentions[j].forward(ops, state.hidden_states, inputs.key_values, key_value);
      key_value += block.attentions[j].transformer_blocks.size();
    }
  }
  if (block.upsampler) {
    // Odd sizes: upsample to what the next skip has, not to twice the size (diffusers:
    // upsample_size).
    const Shape& target = state.skips.back().shape();
    state.hidden_states = block.upsampler->forward(ops, state.hidden_states, target[1], target[2]);
  }
}

Tensor UNet2DConditionModel::forward(Ops& ops, const Tensor& sample,
                                     const UNetInputs& inputs) const {
  UNetState state;
  state.hidden_states = conv_in_.forward(ops, sample);
  state.skips.push_back(state.hidden_states);
  for (std::size_t i = 0; i < down_blocks_.size(); ++i) {
    const auto range = ops.range(numbered("down_blocks", i));
    down(ops, down_blocks_[i], inputs, state);
  }
  {
    const auto range = ops.range("mid_block");
    mid(ops, inputs, state);
  }
  for (std::size_t i = 0; i < up_blocks_.size(); ++i) {
    const auto range = ops.range(numbered("up_blocks", i));
    up(ops, up_blocks_[i], inputs, state);
  }
  const Tensor h = conv_norm_out_.forward(ops, state.hidden_states, Activation::silu);
  return conv_out_.forward(ops, h);
}

}  // namespace diffuse
