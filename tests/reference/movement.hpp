#pragma once

#include <cmath>

#include "tests/reference/array.hpp"

namespace diffuse::reference {

/// y[n,i,j,:] = x[n, i H / H2, j W / W2, :].
inline Array upsample_nearest(const Array& x, std::int64_t height, std::int64_t width) {
  Array y({x.shape[0], height, width, x.shape[3]});
  for (std::int64_t n = 0; n < x.shape[0]; ++n) {
    for (std::int64_t i = 0; i < height; ++i) {
      for (std::int64_t j = 0; j < width; ++j) {
        for (std::int64_t c = 0; c < x.shape[3]; ++c) {
          y.at(n, i, j, c) = x.at(n, i * x.shape[1] / height, j * x.shape[2] / width, c);
        }
      }
    }
  }
  return y;
}

inline Array concat_channels(const Array& a, const Array& b) {
  const std::int64_t wa = a.shape.back();
  const std::int64_t wb = b.shape.back();
  Array y(a.shape.with_back(wa + wb));
  for (std::int64_t r = 0; r < y.shape.rows(); ++r) {
    for (std::int64_t c = 0; c < wa; ++c) y[r * (wa + wb) + c] = a[r * wa + c];
    for (std::int64_t c = 0; c < wb; ++c) y[r * (wa + wb) + wa + c] = b[r * wb + c];
  }
  return y;
}

/// y[n] = factor * x[n mod N].
inline Array repeat(const Array& x, std::int64_t entries, double factor) {
  Array y(x.shape.with_front(entries));
  const std::int64_t count = x.shape.elements();
  for (std::int64_t i = 0; i < y.shape.elements(); ++i) y[i] = factor * x[i % count];
  return y;
}

inline Array select_row(const Array& table, std::int64_t step) {
  Array y({1, table.shape[1]});
  for (std::int64_t c = 0; c < table.shape[1]; ++c) y[c] = table[step * table.shape[1] + c];
  return y;
}

/// round_half_even(255 clamp(x / 2 + 1/2, 0, 1)), NaN gives 0.
inline Array pixels(const Array& x) {
  Array y(x.shape);
  for (std::int64_t i = 0; i < x.shape.elements(); ++i) {
    const double v = x[i] / 2 + 0.5;
    y[i] = !(v > 0) ? 0 : v > 1 ? 255 : std::nearbyint(255 * v);
  }
  return y;
}

}  // namespace diffuse::reference
