#pragma once

#include <cmath>
#include <numbers>

#include "core/tensor/op.hpp"
#include "tests/reference/array.hpp"

// Definitions of the ops, in double and in the order of the formulas: nothing here is fast.
namespace diffuse::reference {

inline double apply(Activation activation, double x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu:
      return x * (1 + std::erf(x / std::numbers::sqrt2)) / 2;
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
  }
  return x;
}

inline Array activation(const Array& x, Activation kind) {
  Array y = x;
  for (double& v : y.values) v = apply(kind, v);
  return y;
}

/// y = activation(x W^T + bias) + residual.
inline Array linear(const Array& x, const Array& weight, const Array& bias, const Array& residual,
                    Activation kind) {
  const std::int64_t in = weight.shape[1];
  const std::int64_t out = weight.shape[0];
  Array y(x.shape.with_back(out));
  for (std::int64_t r = 0; r < x.shape.rows(); ++r) {
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = bias.empty() ? 0 : bias[o];
      for (std::int64_t i = 0; i < in; ++i) sum += x[r * in + i] * weight[o * in + i];
      y[r * out + o] = apply(kind, sum) + (residual.empty() ? 0 : residual[r * out + o]);
    }
  }
  return y;
}

struct ConvGeometry {
  std::int64_t stride = 1, pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
};

/// x [N, H, W, C], weight [O, C, kh, kw]: zero padding.
inline Array conv2d(const Array& x, const Array& weight, const Array& bias, const Array& residual,
                    const ConvGeometry& g) {
  const Shape& k = weight.shape;
  Array y({x.shape[0], (x.shape[1] + g.pad_top + g.pad_bottom - k[2]) / g.stride + 1,
           (x.shape[2] + g.pad_left + g.pad_right - k[3]) / g.stride + 1, k[0]});
  for (std::int64_t n = 0; n < y.shape[0]; ++n) {
    for (std::int64_t i = 0; i < y.shape[1]; ++i) {
      for (std::int64_t j = 0; j < y.shape[2]; ++j) {
        for (std::int64_t o = 0; o < k[0]; ++o) {
          double sum = bias.empty() ? 0 : bias[o];
          for (std::int64_t a = 0; a < k[2]; ++a) {
            for (std::int64_t b = 0; b < k[3]; ++b) {
              const std::int64_t h = i * g.stride + a - g.pad_top;
              const std::int64_t w = j * g.stride + b - g.pad_left;
              if (h < 0 || w < 0 || h >= x.shape[1] || w >= x.shape[2]) continue;
              for (std::int64_t c = 0; c < k[1]; ++c) {
                sum += x.at(n, h, w, c) * weight.at(o, c, a, b);
              }
            }
          }
          y.at(n, i, j, o) = sum + (residual.empty() ? 0 : residual.at(n, i, j, o));
        }
      }
    }
  }
  return y;
}

/// y[..,c] = x[..,c] * gelu(x[..,C + c]).
inline Array geglu(const Array& x) {
  const std::int64_t width = x.shape.back() / 2;
  Array y(x.shape.with_back(width));
  for (std::int64_t r = 0; r < x.shape.rows(); ++r) {
    for (std::int64_t c = 0; c < width; ++c) {
      y[r * width + c] =
          x[r * 2 * width + c] * apply(Activation::gelu, x[r * 2 * width + width + c]);
    }
  }
  return y;
}

/// y[n,t,:] = tokens[ids[n,t],:] + positions[t,:].
inline Array embedding(const std::vector<std::int32_t>& ids, std::int64_t length,
                       const Array& tokens, const Array& positions) {
  const std::int64_t width = tokens.shape[1];
  const auto count = static_cast<std::int64_t>(ids.size());
  Array y({count / length, length, width});
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t c = 0; c < width; ++c) {
      y[i * width + c] =
          tokens[ids[static_cast<std::size_t>(i)] * width + c] + positions[i % length * width + c];
    }
  }
  return y;
}

}  // namespace diffuse::reference
