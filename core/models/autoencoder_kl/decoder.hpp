#pragma once

#include <optional>
#include <vector>

#include "core/nn/attention.hpp"
#include "core/nn/resnet_block.hpp"

namespace diffuse {

/// vae/config.json (diffusers AutoencoderKL), as far as decoding needs it.
struct AutoencoderKlConfig {
  int out_channels;
  int latent_channels;
  std::vector<std::int64_t> block_out_channels;
  int layers_per_block;
  int norm_num_groups;
  float scaling_factor;
  bool use_post_quant_conv;
  bool mid_block_add_attention;
  int sample_size;  // pixels along each side of the usual picture

  /// Pixels per latent element along each side: 2^(levels - 1).
  [[nodiscard]] int scale_factor() const {
    return 1 << (static_cast<int>(block_out_channels.size()) - 1);
  }
};

/// The decoder of AutoencoderKL, post_quant_conv included.
/// Source: Rombach et al. 2022, arXiv:2112.10752; diffusers `autoencoder_kl.py`, `vae.py`.
class AutoencoderKlDecoder {
 public:
  static AutoencoderKlDecoder load(const WeightReader& at, const AutoencoderKlConfig& config);

  /// Unscaled latents [N, h, w, latent_channels] -> [N, f h, f w, out_channels], about [-1, 1];
  /// f = config().scale_factor().
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& latents) const;
  [[nodiscard]] const AutoencoderKlConfig& config() const { return config_; }

 private:
  struct MidBlock {
    ResnetBlock resnet0, resnet1;
    std::optional<GroupNorm> group_norm;
    std::optional<SelfAttention> attention;
  };
  struct UpBlock {
    std::vector<ResnetBlock> resnets;
    std::optional<Upsample> upsampler;
  };
  void load_mid(const WeightReader& at, const ResnetConfig& resnet);
  [[nodiscard]] Tensor forward_mid(Ops& ops, const Tensor& hidden_states) const;

  AutoencoderKlConfig config_{};
  std::optional<Linear> post_quant_conv_;
  Conv2d conv_in_, conv_out_;
  MidBlock mid_block_;
  std::vector<UpBlock> up_blocks_;
  GroupNorm conv_norm_out_;
};

}  // namespace diffuse
