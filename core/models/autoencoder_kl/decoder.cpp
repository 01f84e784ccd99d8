#include "core/models/autoencoder_kl/decoder.hpp"

#include <algorithm>
#include <string>

namespace diffuse {
namespace {

constexpr float kNormEps = 1e-6F;  // diffusers `vae.py`: resnet_eps and conv_norm_out

}  // namespace

AutoencoderKlDecoder AutoencoderKlDecoder::load(const WeightReader& root,
                                                const AutoencoderKlConfig& c) {
  AutoencoderKlDecoder model;
  model.config_ = c;
  if (c.use_post_quant_conv) {
    model.post_quant_conv_ =
        Linear::load(root.sub("post_quant_conv"), c.latent_channels, c.latent_channels, true, true);
  }
  const std::int64_t size = std::max(1, c.sample_size / c.scale_factor());
  const WeightReader at = root.sub("decoder").sized_by_default(size, size);
  const std::vector<std::int64_t>& widths = c.block_out_channels;
  const std::int64_t top = widths.back();
  model.conv_in_ = Conv2d::load(at.sub("conv_in"), {top, c.latent_channels, 3, 1, 1});
  model.load_mid(at.sub("mid_block"), {top, top, 0, c.norm_num_groups, kNormEps});

  std::int64_t channels = top;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const std::int64_t out = widths[widths.size() - 1 - i];
    const WeightReader block_at = at.sub("up_blocks", i).lowered(-static_cast<int>(i));
    UpBlock block;
    for (int j = 0; j <= c.layers_per_block; ++j) {
      block.resnets.push_back(
          ResnetBlock::load(block_at.sub("resnets", static_cast<std::size_t>(j)),
                            {channels, out, 0, c.norm_num_groups, kNormEps}));
      channels = out;
    }
    if (i + 1 < widths.size()) {
      block.upsampler = Upsample::load(block_at.sub("upsamplers.0").lowered(-1), out);
    }
    model.up_blocks_.push_back(std::move(block));
  }
  model.conv_norm_out_ =
      GroupNorm::load(at.sub("conv_norm_out"), channels, c.norm_num_groups, kNormEps);
  model.conv_out_ = Conv2d::load(at.sub("conv_out").lowered(1 - static_cast<int>(widths.size())),
                                 {c.out_channels, channels, 3, 1, 1});
  return model;
}

void AutoencoderKlDecoder::load_mid(const WeightReader& at, const ResnetConfig& resnet) {
  mid_block_.resnet0 = ResnetBlock::load(at.sub("resnets.0"), resnet);
  if (config_.mid_block_add_attention) {
    const std::int64_t c = resnet.out_channels;
    const WeightReader attention = at.sub("attentions.0");
    mid_block_.group_norm =
        GroupNorm::load(attention.sub("group_norm"), c, resnet.norm_num_groups, kNormEps);
    mid_block_.attention = SelfAttention::load(attention, {c, c, 1, true, false});
  }
  mid_block_.resnet1 = ResnetBlock::load(at.sub("resnets.1"), resnet);
}

Tensor AutoencoderKlDecoder::forward_mid(Ops& ops, const Tensor& hidden_states) const {
  const auto range = ops.range("mid_block");
  Tensor h = mid_block_.resnet0.forward(ops, hidden_states);
  if (mid_block_.attention) {
    const Shape picture = h.shape();  // [N, H, W, C]
    const Shape tokens{picture[0], picture[1] * picture[2], picture[3]};
    const Tensor normed = mid_block_.group_norm->forward(ops, h, Activation::none).reshape(tokens);
    h = mid_block_.attention->forward(ops, normed, h.reshape(tokens)).reshape(picture);
  }
  return mid_block_.resnet1.forward(ops, h);
}

Tensor AutoencoderKlDecoder::forward(Ops& ops, const Tensor& latents) const {
  Tensor h = post_quant_conv_ ? post_quant_conv_->forward(ops, latents) : latents;
  h = conv_in_.forward(ops, h);
  h = forward_mid(ops, h);
  for (std::size_t i = 0; i < up_blocks_.size(); ++i) {
    const UpBlock& block = up_blocks_[i];
    const auto range = ops.range("up_blocks." + std::to_string(i));
    for (const ResnetBlock& resnet : block.resnets) h = resnet.forward(ops, h);
    if (block.upsampler) {
      h = block.upsampler->forward(ops, h, 2 * h.shape()[1], 2 * h.shape()[2]);
    }
  }
  h = conv_norm_out_.forward(ops, h, Activation::silu);
  return conv_out_.forward(ops, h);
}

}  // namespace diffuse
