#pragma once

#include <algorithm>
#include <cmath>

#include "tests/reference/array.hpp"

namespace diffuse::reference {

/// y[n,i,h,:] = sum_j softmax_j(scale q[n,i,h,:] . k[n,j,h,:]) v[n,j,h,:]; causal: j <= i only.
/// q [N, Tq, heads * D]; k, v [N, Tk, heads * D].
inline Array attention(const Array& q, const Array& k, const Array& v, std::int64_t heads,
                       double scale, bool causal) {
  const std::int64_t width = q.shape[2];
  const std::int64_t head_dim = width / heads;
  Array y(q.shape);
  for (std::int64_t n = 0; n < q.shape[0]; ++n) {
    for (std::int64_t h = 0; h < heads; ++h) {
      for (std::int64_t i = 0; i < q.shape[1]; ++i) {
        const std::int64_t keys = causal ? i + 1 : k.shape[1];
        std::vector<double> p(static_cast<std::size_t>(keys), 0.0);
        for (std::int64_t j = 0; j < keys; ++j) {
          for (std::int64_t d = h * head_dim; d < (h + 1) * head_dim; ++d) {
            p[static_cast<std::size_t>(j)] +=
                scale * q[(n * q.shape[1] + i) * width + d] * k[(n * k.shape[1] + j) * width + d];
          }
        }
        const double highest = *std::max_element(p.begin(), p.end());
        double total = 0;
        for (double& s : p) total += s = std::exp(s - highest);
        for (std::int64_t d = h * head_dim; d < (h + 1) * head_dim; ++d) {
          double sum = 0;
          for (std::int64_t j = 0; j < keys; ++j) {
            sum += p[static_cast<std::size_t>(j)] * v[(n * v.shape[1] + j) * width + d];
          }
          y[(n * q.shape[1] + i) * width + d] = sum / total;
        }
      }
    }
  }
  return y;
}

}  // namespace diffuse::reference
