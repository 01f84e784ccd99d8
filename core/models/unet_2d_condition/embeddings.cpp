#include <cmath>

#include "core/models/unet_2d_condition/unet_2d_condition_model.hpp"

namespace diffuse {

std::vector<float> timestep_embeddings(std::span<const double> timesteps, std::int64_t width,
                                       bool flip_sin_to_cos, int freq_shift) {
  const std::int64_t half = width / 2;
  std::vector<float> out(timesteps.size() * static_cast<std::size_t>(width), 0.0F);
  for (std::size_t row = 0; row < timesteps.size(); ++row) {
    float* to = out.data() + row * static_cast<std::size_t>(width);
    const auto timestep = static_cast<float>(timesteps[row]);
    for (std::int64_t i = 0; i < half; ++i) {
      // The exponent is rounded to f32 as torch does: at t = 1000 a double here would differ by
      // 6e-5.
      const float exponent = static_cast<float>(-std::log(10000.0)) * static_cast<float>(i) /
                             static_cast<float>(half - freq_shift);
      const float angle = timestep * std::exp(exponent);
      to[flip_sin_to_cos ? half + i : i] = std::sin(angle);
      to[flip_sin_to_cos ? i : half + i] = std::cos(angle);
    }
  }
  return out;
}

std::vector<float> guidance_scale_embedding(double guidance_scale, std::int64_t width) {
  const std::int64_t half = width / 2;
  std::vector<float> out(static_cast<std::size_t>(width), 0.0F);
  const float scaled = static_cast<float>(guidance_scale - 1.0) * 1000.0F;
  const auto step = static_cast<float>(std::log(10000.0) / static_cast<double>(half - 1));
  for (std::int64_t i = 0; i < half; ++i) {
    const float angle = scaled * std::exp(static_cast<float>(i) * -step);
    out[static_cast<std::size_t>(i)] = std::sin(angle);
    out[static_cast<std::size_t>(half + i)] = std::cos(angle);
  }
  return out;
}

}  // namespace diffuse
