#pragma once

#include <cmath>

namespace diffuse {

/// A noise level of the solvers that step in half the log signal-to-noise ratio. Float32 in
/// diffusers' own order of operations: steps are differences of lambda, whose rounding shows.
struct NoiseLevel {
  float alpha;   ///< signal rate, 1 / sqrt(sigma^2 + 1)
  float sigma;   ///< noise rate, sigma * alpha
  float lambda;  ///< log alpha - log sigma; infinite where sigma is 0

  explicit NoiseLevel(float ratio)
      : alpha(1.0F / std::sqrt(ratio * ratio + 1.0F)),
        sigma(ratio * alpha),
        lambda(std::log(alpha) - std::log(sigma)) {}
};

}  // namespace diffuse
