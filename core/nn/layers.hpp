#pragma once

#include "core/nn/weight_reader.hpp"

namespace diffuse {

/// y = x W^T + bias.  Source: torch.nn.Linear.
struct Linear {
  Weight weight;  // [out, in]
  Tensor bias;    // [out], or absent

  static Linear load(const WeightReader& at, std::int64_t out, std::int64_t in, bool with_bias,
                     bool as_conv = false);
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& x, const Tensor& residual = {},
                               Activation activation = Activation::none) const;
};

/// Convolution with a square kernel, zero padding on all sides.  Source: torch.nn.Conv2d.
struct Conv2d {
  Weight weight;  // [out, in, kernel, kernel]
  Tensor bias;    // [out]
  int stride = 1;
  int padding = 0;

  struct Geometry {
    std::int64_t out, in;
    int kernel, stride, padding;
  };
  static Conv2d load(const WeightReader& at, const Geometry& geometry);
  /// `dynamic_bias`, if given, stands in for the stored one.
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& x, const Tensor& residual = {},
                               const Tensor& dynamic_bias = {}) const;
};

/// Source: torch.nn.GroupNorm.
struct GroupNorm {
  Tensor weight, bias;  // [channels]
  int num_groups = 0;
  float eps = 0;

  static GroupNorm load(const WeightReader& at, std::int64_t channels, int num_groups, float eps);
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& x, Activation activation) const;
};

/// Source: torch.nn.LayerNorm.
struct LayerNorm {
  Tensor weight, bias;  // [channels]
  float eps = 0;

  static LayerNorm load(const WeightReader& at, std::int64_t channels, float eps);
  [[nodiscard]] Tensor forward(Ops& ops, const Tensor& x) const;
};

}  // namespace diffuse
