#include "core/nn/layers.hpp"

namespace diffuse {

Linear Linear::load(const WeightReader& at, std::int64_t out, std::int64_t in, bool with_bias,
                    bool as_conv) {
  return {at.linear({""}, out, in, as_conv), with_bias ? at.vector({"bias"}, out) : Tensor{}};
}

Tensor Linear::forward(Ops& ops, const Tensor& x, const Tensor& residual,
                       Activation activation) const {
  return ops.linear(x, weight, {.bias = bias, .residual = residual, .activation = activation});
}

Conv2d Conv2d::load(const WeightReader& at, const Geometry& geometry) {
  return {at.conv("", geometry.out, geometry.in, geometry.kernel, geometry.stride),
          at.vector({"bias"}, geometry.out), geometry.stride, geometry.padding};
}

Tensor Conv2d::forward(Ops& ops, const Tensor& x, const Tensor& residual,
                       const Tensor& dynamic_bias) const {
  return ops.conv2d(x, weight,
                    {.bias = dynamic_bias.empty() ? bias : dynamic_bias,
                     .residual = residual,
                     .stride = stride,
                     .pad_top = padding,
                     .pad_left = padding,
                     .pad_bottom = padding,
                     .pad_right = padding});
}

GroupNorm GroupNorm::load(const WeightReader& at, std::int64_t channels, int num_groups,
                          float eps) {
  return {at.vector({"weight"}, channels), at.vector({"bias"}, channels), num_groups, eps};
}

Tensor GroupNorm::forward(Ops& ops, const Tensor& x, Activation activation) const {
  return ops.group_norm(x, weight, bias, num_groups, eps, activation);
}

LayerNorm LayerNorm::load(const WeightReader& at, std::int64_t channels, float eps) {
  return {at.vector({"weight"}, channels), at.vector({"bias"}, channels), eps};
}

Tensor LayerNorm::forward(Ops& ops, const Tensor& x) const {
  return ops.layer_norm(x, weight, bias, eps);
}

}  // namespace diffuse
