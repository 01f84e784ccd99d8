#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor/op.hpp"

namespace diffuse::test {

struct GroupNormCase {
  const char* what;
  std::int64_t batch, height, width, channels;
  int groups;
  float eps;
  Activation activation;
  double spread = 1.0;  ///< scale of the input: eps counts where its square is about eps
  double offset = 0.0;  ///< mean of the input
};

inline const std::vector<GroupNormCase>& group_norm_cases() {
  static const std::vector<GroupNormCase> cases = {
      {"as in UNet resnets", 2, 9, 7, 320, 32, 1e-5F, Activation::silu},
      {"inputs so small that eps 1e-5 decides", 2, 9, 7, 64, 32, 1e-5F, Activation::silu, 3e-3},
      {"inputs so small that eps 1e-6 decides", 2, 9, 7, 64, 32, 1e-6F, Activation::none, 1e-3},
      {"large mean, small spread", 2, 12, 11, 64, 16, 1e-6F, Activation::none, 0.5, 50.0},
      {"several pieces, the last one short", 2, 33, 41, 40, 4, 1e-5F, Activation::none, 2.0},
      {"groups of one channel", 2, 5, 6, 24, 24, 1e-5F, Activation::none},
      {"one group", 2, 5, 6, 24, 1, 1e-5F, Activation::silu},
      {"odd channels", 3, 3, 5, 21, 3, 1e-5F, Activation::none},
      {"one channel", 2, 4, 5, 1, 1, 1e-5F, Activation::none},
      {"group width 80: 2560 channels", 2, 3, 3, 2560, 32, 1e-5F, Activation::silu},
      {"one pixel", 2, 1, 1, 64, 8, 1e-5F, Activation::none},
      {"exact GELU afterwards", 2, 4, 4, 32, 8, 1e-5F, Activation::gelu},
  };
  return cases;
}

struct LayerNormCase {
  const char* what;
  std::int64_t batch, rows, channels;
  float eps;
  double spread = 1.0;
  double offset = 0.0;
};

inline const std::vector<LayerNormCase>& layer_norm_cases() {
  static const std::vector<LayerNormCase> cases = {
      {"CLIP", 2, 77, 768, 1e-5F},
      {"inputs so small that eps decides", 2, 9, 320, 1e-5F, 3e-3},
      {"inputs so small that eps 1e-6 decides", 2, 9, 320, 1e-6F, 1e-3},
      {"large mean", 2, 9, 640, 1e-5F, 1.0, 40.0},
      {"odd width", 3, 35, 37, 1e-5F},
      {"less than a vector", 2, 5, 3, 1e-5F},
      {"width 1", 2, 5, 1, 1e-5F},
  };
  return cases;
}

}  // namespace diffuse::test
