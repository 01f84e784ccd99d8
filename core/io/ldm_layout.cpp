#include "core/io/ldm_layout.hpp"

#include <array>
#include <utility>

namespace diffuse {
namespace {

constexpr int kLevels = 4;
constexpr int kPerLevel = 3;  ///< two blocks and what changes the size (or, going up, three blocks)

using Rename = std::pair<std::string_view, std::string_view>;

/// The rest of a dotted name, eaten from the left.
class Name {
 public:
  explicit Name(std::string_view rest) : rest_(rest) {}

  /// Eats `part` and the dot behind it, if the name goes on with them.
  bool eat(std::string_view part) {
    if (rest_.size() <= part.size() || rest_.substr(0, part.size()) != part ||
        rest_[part.size()] != '.') {
      return false;
    }
    rest_.remove_prefix(part.size() + 1);
    return true;
  }
  /// Eats a number below 100 and its dot; -1 if there is none.
  int number() {
    const std::size_t dot = rest_.find('.');
    if (dot == 0 || dot > 2) return -1;
    int value = 0;
    for (const char c : rest_.substr(0, dot)) {
      if (c < '0' || c > '9') return -1;
      value = 10 * value + (c - '0');
    }
    rest_.remove_prefix(dot + 1);
    return value;
  }
  /// The rest, with its first parts renamed if they stand in the list.
  template <std::size_t n>
  [[nodiscard]] std::string renamed(const std::array<Rename, n>& list) const {
    for (const auto& [from, to] : list) {
      Name copy = *this;
      if (copy.eat(from)) return std::string(to) + "." + copy.rest();
    }
    return rest();
  }
  [[nodiscard]] std::string rest() const { return std::string(rest_); }

 private:
  std::string_view rest_;
};

constexpr std::array<Rename, 6> kUnetResnet = {{{"in_layers.0", "norm1"},
                                                {"in_layers.2", "conv1"},
                                                {"emb_layers.1", "time_emb_proj"},
                                                {"out_layers.0", "norm2"},
                                                {"out_layers.3", "conv2"},
                                                {"skip_connection", "conv_shortcut"}}};
constexpr std::array<Rename, 5> kUnetEnds = {{{"time_embed.0", "time_embedding.linear_1"},
                                              {"time_embed.2", "time_embedding.linear_2"},
                                              {"input_blocks.0.0", "conv_in"},
                                              {"out.0", "conv_norm_out"},
                                              {"out.2", "conv_out"}}};
constexpr std::array<Rename, 1> kVaeResnet = {{{"nin_shortcut", "conv_shortcut"}}};
constexpr std::array<Rename, 5> kVaeAttention = {{{"norm", "group_norm"},
                                                  {"q", "to_q"},
                                                  {"k", "to_k"},
                                                  {"v", "to_v"},
                                                  {"proj_out", "to_out.0"}}};
constexpr std::array<Rename, 1> kVaeEnds = {{{"norm_out", "conv_norm_out"}}};

std::string indexed(std::string_view list, int index) {
  return std::string(list) + "." + std::to_string(index) + ".";
}

/// A name below `model.diffusion_model.`; empty if it is none of the UNet's.
std::string unet_name(Name name) {
  std::string end = name.renamed(kUnetEnds);
  if (end != name.rest()) return end;
  const bool down = name.eat("input_blocks");
  if (!down && name.eat("middle_block")) {
    const int part = name.number();
    if (part == 1) return "mid_block.attentions.0." + name.rest();
    if (part != 0 && part != 2) return {};
    return indexed("mid_block.resnets", part / 2) + name.renamed(kUnetResnet);
  }
  if (!down && !name.eat("output_blocks")) return {};
  const int block = name.number() - (down ? 1 : 0);  // input block 0 is conv_in
  const int part = name.number();
  if (block < 0 || block >= kLevels * kPerLevel || part < 0) return {};
  const std::string level = indexed(down ? "down_blocks" : "up_blocks", block / kPerLevel);
  if (down && name.eat("op")) return level + "downsamplers.0.conv." + name.rest();
  if (!down && name.eat("conv")) return level + "upsamplers.0.conv." + name.rest();
  if (part == 0) {
    return level + indexed("resnets", block % kPerLevel) + name.renamed(kUnetResnet);
  }
  return level + indexed("attentions", block % kPerLevel) + name.rest();
}

/// A name below `first_stage_model.`; empty if it is none of the VAE's.
std::string vae_name(Name name) {
  Name quant = name;
  if (quant.eat("quant_conv") || quant.eat("post_quant_conv")) return name.rest();
  const bool encoder = name.eat("encoder");
  if (!encoder && !name.eat("decoder")) return {};
  const std::string side = encoder ? "encoder." : "decoder.";
  if (name.eat("mid")) {
    if (name.eat("attn_1")) return side + "mid_block.attentions.0." + name.renamed(kVaeAttention);
    for (const int block : {0, 1}) {
      if (name.eat("block_" + std::to_string(block + 1))) {
        return side + indexed("mid_block.resnets", block) + name.renamed(kVaeResnet);
      }
    }
    return {};
  }
  if (!name.eat(encoder ? "down" : "up")) return side + name.renamed(kVaeEnds);
  const int level = name.number();
  if (level < 0 || level >= kLevels) return {};
  // The decoder's levels are counted from the picture's side there, from the latents' side here.
  const std::string at =
      side + (encoder ? indexed("down_blocks", level) : indexed("up_blocks", kLevels - 1 - level));
  if (name.eat("downsample")) return at + "downsamplers.0." + name.rest();
  if (name.eat("upsample")) return at + "upsamplers.0." + name.rest();
  if (!name.eat("block")) return {};
  const int block = name.number();
  if (block < 0) return {};
  return at + indexed("resnets", block) + name.renamed(kVaeResnet);
}

std::optional<DiffusersKey> ldm_key(const TensorInfo& tensor, Component component) {
  constexpr std::array<std::string_view, 3> kPrefixes = {
      "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."};
  const std::string_view prefix = kPrefixes.at(static_cast<std::size_t>(component));
  if (tensor.name.compare(0, prefix.size(), prefix) != 0) return std::nullopt;
  const std::string_view below = std::string_view(tensor.name).substr(prefix.size());
  std::string name(below);
  if (component == Component::unet) name = unet_name(Name(below));
  if (component == Component::vae) name = vae_name(Name(below));
  if (name.empty()) return std::nullopt;
  // From here on as a diffusers folder spells it, and with the same bridges.
  return folder_keys(component)(TensorInfo{name, tensor.dtype, tensor.shape});
}

}  // namespace

KeyTranslation ldm_keys(Component component) {
  return [component](const TensorInfo& tensor) { return ldm_key(tensor, component); };
}

}  // namespace diffuse
