#pragma once

#include <array>

namespace diffuse {

/// One denoising step of any scheduler as a table row; made on the host before the loop, applied by
/// the op `scheduler_step` (its definition in double is `tests/reference/`). All arrays have the
/// shape of the latents; f32 on every device.
///
///   m      = to_output_sample * sample + to_output_noise_pred * noise_pred     the scheduler's
///   stored output:
///            then clamped or dynamically thresholded                           x0, epsilon or
///            derivative
///   saved' = saved_sample * sample + saved_saved * saved + saved_output * m + sum_k
///   saved_history[k] * h[k] next   = next_sample * sample + next_saved * saved' + next_output * m
///   + sum_k next_history[k] * h[k]
///          + next_noise_pred * noise_pred + next_noise * noise
///
/// h[0] is the m of the latest earlier step that pushed, h[1] the one before. After the step, m
/// becomes h[0] if `push`. A term whose factor is 0 is not read, so it may be undefined (NaN)
/// memory. noise_pred is the guided model output. The new sample is `next`.
struct StepRow {
  static constexpr int kHistory = 3;

  float to_output_sample = 0;
  float to_output_noise_pred = 0;

  float clip = 0;             ///< > 0: m is clamped to [-clip, clip]
  float threshold_ratio = 0;  ///< > 0: dynamic thresholding at this quantile of |m| of one picture
                              ///< (Imagen, arXiv:2205.11487)
  float threshold_max_value =
      0;  ///< upper bound of the dynamic threshold (`sample_max_value`); its lower bound is 1

  float saved_sample = 0;
  float saved_saved = 0;
  float saved_output = 0;
  std::array<float, kHistory> saved_history{};

  float next_sample = 0;
  float next_saved = 0;
  float next_output = 0;
  std::array<float, kHistory> next_history{};
  float next_noise_pred = 0;
  float next_noise = 0;

  bool push = false;  ///< m enters the history after the step
  bool draws_noise =
      false;  ///< the step takes one draw of the picture's generator, even if next_noise is 0
};

}  // namespace diffuse
