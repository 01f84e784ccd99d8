#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor/op.hpp"

namespace diffuse::test {

struct LinearCase {
  const char* what;
  std::int64_t batch, rows, in, out;
  bool bias = true, residual = false;
  Activation activation = Activation::none;
  bool f32_output = false;
  bool strided_x = false, strided_residual = false;
  bool residual_is_y = false;
};

inline const std::vector<LinearCase>& linear_cases() {
  static const std::vector<LinearCase> cases = {
      {"one row a picture, as the time embedding", 3, 1, 320, 1280},
      {"time embedding with SiLU", 2, 1, 64, 96, true, false, Activation::silu},
      {"77 rows, odd widths, no bias", 2, 77, 33, 70, false},
      {"width 1", 3, 5, 1, 1},
      {"7 to 5", 2, 13, 7, 5},
      {"a square layer with residual", 2, 63, 320, 320, true, true},
      {"residual without bias", 3, 17, 40, 24, false, true},
      {"residual in place", 2, 19, 48, 80, true, true, Activation::none, false, false, false, true},
      {"long rows", 2, 9, 1280, 48},
      {"very long rows, summed in pieces", 3, 33, 5120, 64},
      {"many rows, in strips", 2, 300, 40, 70, true, true},
      {"half a panel of columns, half a pair in depth", 2, 35, 51, 32},
      {"exact GELU, large inputs", 2, 31, 96, 130, true, false, Activation::gelu},
      {"quick GELU", 2, 31, 96, 130, true, false, Activation::quick_gelu},
      {"GELU then residual", 2, 21, 32, 64, true, true, Activation::gelu},
      {"f32 output", 2, 25, 64, 40, true, false, Activation::none, true},
      {"f32 output with residual", 2, 25, 64, 40, true, true, Activation::none, true},
      {"rows of x strided", 2, 27, 40, 56, true, false, Activation::none, false, true},
      {"rows of x and residual strided", 2, 27, 40, 56, true, true, Activation::none, false, true,
       true},
      {"fused query, key and value of SD 1.5's second level", 2, 50, 640, 1920, false},
  };
  return cases;
}

struct Conv2dCase {
  const char* what;
  std::int64_t batch, height, width, channels, out_channels;
  std::int64_t kernel_height = 3, kernel_width = 3;
  int stride = 1;
  int pad_top = 1, pad_left = 1, pad_bottom = 1, pad_right = 1;
  bool bias = true, residual = false;
  bool sized = false;  ///< the weight is prepared for this size; else by turns
};

inline const std::vector<Conv2dCase>& conv2d_cases() {
  static const std::vector<Conv2dCase> cases = {
      {"odd picture", 2, 7, 9, 32, 64},
      {"conv_in: 4 channels", 2, 11, 6, 4, 40},
      {"conv_out: 4 channels, one row", 3, 1, 13, 48, 4},
      {"VAE conv_out: 3 channels", 2, 10, 7, 24, 3},
      {"one pixel", 2, 1, 1, 16, 16},
      {"one channel in and out", 2, 5, 8, 1, 1},
      {"33 to 31 channels", 2, 5, 11, 33, 31},
      {"with residual", 2, 9, 7, 64, 64, 3, 3, 1, 1, 1, 1, 1, true, true},
      {"residual without bias", 2, 6, 5, 20, 12, 3, 3, 1, 1, 1, 1, 1, false, true},
      {"no bias", 2, 6, 5, 20, 12, 3, 3, 1, 1, 1, 1, 1, false, false},
      {"stride 2, odd height", 2, 9, 12, 40, 40, 3, 3, 2},
      {"stride 2, padded at the end only, as the VAE's encoder", 2, 8, 10, 16, 24, 3, 3, 2, 0, 0, 1,
       1},
      {"different padding on each side", 2, 6, 7, 8, 8, 3, 3, 1, 2, 0, 1, 2},
      {"1x1 shortcut", 2, 9, 7, 96, 64, 1, 1, 1, 0, 0, 0, 0},
      {"1x1 with residual", 3, 5, 5, 64, 40, 1, 1, 1, 0, 0, 0, 0, true, true},
      {"1x1, padded on each side otherwise", 2, 5, 7, 40, 48, 1, 1, 1, 1, 0, 2, 1, true, true},
      {"1x1, stride 2, padded", 2, 5, 7, 40, 48, 1, 1, 2, 1, 1, 1, 1},
      {"kernel 5x1", 2, 9, 4, 8, 12, 5, 1, 1, 2, 0, 2, 0},
      {"many channels, few pixels", 2, 4, 3, 640, 320},
      {"more channels than pixels twice over", 3, 2, 2, 1280, 64},
      {"several strips of pixels, few channels for Winograd", 2, 20, 15, 40, 66},
      {"channels summed in pieces", 2, 3, 4, 1400, 33},
      {"stride 2 and many channels, as the UNet's downsamplers", 2, 18, 17, 96, 130, 3, 3, 2},
      {"a picture smaller than the kernel", 3, 1, 2, 64, 40, 3, 3, 1, 1, 1, 1, 1, true, true},
      {"few outputs: several bands of rows, odd channels", 2, 70, 130, 33, 3},
      {"few outputs: padding on each side otherwise, residual, no bias", 2, 6, 7, 40, 4, 3, 3, 1, 2,
       0, 1, 2, false, true},
      {"few outputs: kernel 5x1, residual", 2, 9, 4, 64, 7, 5, 1, 1, 2, 0, 2, 0, true, true},
      {"few outputs: rows in several strips", 1, 5, 600, 32, 2},
      {"few outputs: rows that see nothing of the picture", 2, 3, 5, 34, 3, 3, 3, 1, 4, 4, 4, 4},
      // The backend knows the size beforehand: large enough for Winograd, 64 tiles of 4x4 outputs.
      {"large: whole tiles", 2, 32, 32, 64, 64, 3, 3, 1, 1, 1, 1, 1, true, false, true},
      {"large: odd sizes, channels that are no multiple of a vector", 3, 33, 29, 71, 69, 3, 3, 1, 1,
       1, 1, 1, true, false, true},
      {"large: residual, tall and narrow", 2, 130, 5, 80, 130, 3, 3, 1, 1, 1, 1, 1, true, true,
       true},
      {"large: no bias, residual", 2, 31, 30, 96, 64, 3, 3, 1, 1, 1, 1, 1, false, true, true},
      {"large: padding differs on each side", 2, 36, 30, 64, 72, 3, 3, 1, 2, 0, 1, 2, true, false,
       true},
      // For tiles of 16 pixels: lines of whole ones and others, in strips of lines and of pictures.
      {"large: lines in strips", 2, 40, 64, 32, 34, 3, 3, 1, 1, 1, 1, 1, true, true, true},
      {"large: lines in strips, which tiles do not fill", 2, 70, 24, 33, 40},
      {"whole lines of tiles, stride 2", 3, 32, 31, 48, 40, 3, 3, 2},
      {"stride 2, lines in strips", 2, 66, 71, 32, 34, 3, 3, 2},
      {"whole lines of tiles, many channels", 2, 16, 16, 960, 33},
      {"stride beyond the picture, padded before it alone", 2, 3, 1, 32, 32, 1, 1, 8, 4, 4, 0, 0},
      {"large: deep", 2, 29, 32, 320, 64, 3, 3, 1, 1, 1, 1, 1, true, false, true},
  };
  return cases;
}

struct LinearGegluCase {
  const char* what;
  std::int64_t batch, rows, in, width;
  bool bias = true, strided_x = false;
};

inline const std::vector<LinearGegluCase>& linear_geglu_cases() {
  static const std::vector<LinearGegluCase> cases = {
      {"several strips and panels", 2, 300, 72, 192},
      {"few rows, odd depth, no bias", 3, 7, 41, 64, false},
      {"long rows, summed in pieces, strided", 2, 33, 1400, 128, true, true},
      {"halves that fill no panel", 2, 9, 24, 40},
  };
  return cases;
}

struct GegluCase {
  const char* what;
  std::int64_t batch, rows, width;
  double spread;
};

inline const std::vector<GegluCase>& geglu_cases() {
  static const std::vector<GegluCase> cases = {
      {"SD 1.5's first level", 2, 35, 1280, 1.0},
      {"odd width", 3, 7, 37, 2.0},
      {"width 1", 2, 5, 1, 1.0},
      {"where erf and tanh differ most, and both tails", 2, 11, 50, 4.0},
  };
  return cases;
}

struct ActivationCase {
  const char* what;
  Activation activation;
  std::int64_t batch, elements;
  double spread;
};

inline const std::vector<ActivationCase>& activation_cases() {
  static const std::vector<ActivationCase> cases = {
      {"SiLU", Activation::silu, 2, 1283, 3.0},
      {"SiLU, far tails", Activation::silu, 2, 77, 60.0},
      {"exact GELU", Activation::gelu, 3, 1283, 2.0},
      {"quick GELU", Activation::quick_gelu, 2, 515, 3.0},
      {"none", Activation::none, 2, 5, 1.0},
      {"more than one piece", Activation::silu, 2, 40000, 3.0},
  };
  return cases;
}

}  // namespace diffuse::test
