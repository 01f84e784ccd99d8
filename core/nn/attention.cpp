#include "core/nn/attention.hpp"

#include <cmath>

namespace diffuse {
namespace {

constexpr std::int64_t kTextTokens = 77;  // usual length of encoder_hidden_states

Ops::AttentionParams params_of(const AttentionConfig& config) {
  const std::int64_t head_dim = config.query_dim / config.num_attention_heads;
  return {.heads = config.num_attention_heads,
          .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim))),
          .causal = false,
          .upcast = config.upcast};
}

}  // namespace

SelfAttention SelfAttention::load(const WeightReader& at, const AttentionConfig& config) {
  const std::int64_t c = config.query_dim;
  return {at.linear({"to_q", "to_k", "to_v"}, c, c),
          config.qkv_bias ? at.vector({"to_q.bias", "to_k.bias", "to_v.bias"}, c) : Tensor{},
          Linear::load(at.sub("to_out.0"), c, c, true), config};
}

Tensor SelfAttention::forward(Ops& ops, const Tensor& hidden_states, const Tensor& residual) const {
  const std::int64_t c = config.query_dim;
  const Tensor qkv = ops.linear(hidden_states, to_qkv, {.bias = qkv_bias});
  const Tensor attended = ops.attention(qkv.columns(0, c), qkv.columns(c, 2 * c),
                                        qkv.columns(2 * c, 3 * c), params_of(config));
  return to_out.forward(ops, attended, residual);
}

CrossAttention CrossAttention::load(const WeightReader& at, const AttentionConfig& config) {
  const std::int64_t c = config.query_dim;
  return {Linear::load(at.sub("to_q"), c, c, false),
          at.sized(1, kTextTokens).linear({"to_k", "to_v"}, c, config.key_value_dim),
          Linear::load(at.sub("to_out.0"), c, c, true), config};
}

Tensor CrossAttention::key_value(Ops& ops, const Tensor& encoder_hidden_states) const {
  return ops.linear(encoder_hidden_states, to_kv, {});
}

Tensor CrossAttention::forward(Ops& ops, const Tensor& hidden_states, const Tensor& key_value,
                               const Tensor& residual) const {
  const std::int64_t c = config.query_dim;
  const Tensor query = to_q.forward(ops, hidden_states);
  const Tensor attended =
      ops.attention(query, key_value.columns(0, c), key_value.columns(c, 2 * c), params_of(config));
  return to_out.forward(ops, attended, residual);
}

FeedForward FeedForward::load(const WeightReader& at, std::int64_t channels) {
  return {Linear::load(at.sub("net.0.proj"), 8 * channels, channels, true),
          Linear::load(at.sub("net.2"), channels, 4 * channels, true)};
}

Tensor FeedForward::forward(Ops& ops, const Tensor& hidden_states, const Tensor& residual) const {
  const Tensor gated = ops.linear_geglu(hidden_states, proj.weight, proj.bias);
  return out.forward(ops, gated, residual);
}

}  // namespace diffuse
