#pragma once

#include <cmath>

#include "tests/reference/layers.hpp"

namespace diffuse::reference {

/// y = activation((x - mean_g) / sqrt(var_g + eps) * scale[c] + shift[c]), mean and biased variance
/// of a group of channels over all pixels of one picture. x [N, .., C].
inline Array group_norm(const Array& x, const Array& scale, const Array& shift, std::int64_t groups,
                        double eps, Activation kind) {
  const std::int64_t channels = x.shape.back();
  const std::int64_t width = channels / groups;
  const std::int64_t pixels = x.shape.rows() / x.shape[0];
  Array y(x.shape);
  for (std::int64_t n = 0; n < x.shape[0]; ++n) {
    for (std::int64_t g = 0; g < groups; ++g) {
      const auto index = [&](std::int64_t p, std::int64_t i) {
        return (n * pixels + p) * channels + g * width + i;
      };
      const auto count = static_cast<double>(pixels * width);
      double mean = 0;
      double variance = 0;
      for (std::int64_t p = 0; p < pixels; ++p) {
        for (std::int64_t i = 0; i < width; ++i) mean += x[index(p, i)] / count;
      }
      for (std::int64_t p = 0; p < pixels; ++p) {
        for (std::int64_t i = 0; i < width; ++i) {
          variance += std::pow(x[index(p, i)] - mean, 2) / count;
        }
      }
      for (std::int64_t p = 0; p < pixels; ++p) {
        for (std::int64_t i = 0; i < width; ++i) {
          const std::int64_t c = g * width + i;
          const double normal = (x[index(p, i)] - mean) / std::sqrt(variance + eps);
          y[index(p, i)] = apply(kind, normal * scale[c] + shift[c]);
        }
      }
    }
  }
  return y;
}

/// y = (x - mean) / sqrt(var + eps) * scale + shift over the last dimension.
inline Array layer_norm(const Array& x, const Array& scale, const Array& shift, double eps) {
  const std::int64_t channels = x.shape.back();
  Array y(x.shape);
  for (std::int64_t r = 0; r < x.shape.rows(); ++r) {
    double mean = 0;
    double variance = 0;
    for (std::int64_t c = 0; c < channels; ++c) {
      mean += x[r * channels + c] / static_cast<double>(channels);
    }
    for (std::int64_t c = 0; c < channels; ++c) {
      variance += std::pow(x[r * channels + c] - mean, 2) / static_cast<double>(channels);
    }
    for (std::int64_t c = 0; c < channels; ++c) {
      y[r * channels + c] =
          (x[r * channels + c] - mean) / std::sqrt(variance + eps) * scale[c] + shift[c];
    }
  }
  return y;
}

}  // namespace diffuse::reference
