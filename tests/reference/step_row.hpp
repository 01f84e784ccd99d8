#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "core/base/step_row.hpp"

namespace diffuse::reference {

/// What one picture carries from step to step; all arrays have the size of its latents.
template <class T>
struct StepState {
  std::vector<T> sample;
  std::vector<T> saved;
  std::array<std::vector<T>, StepRow::kHistory> history;  ///< [0] is the latest output pushed
};

/// Classifier-free guidance of one picture: u + scale * (c - u), u the unconditional and c the
/// conditional output. With `rescale` > 0 the result is drawn towards the standard deviation of c:
///   g = u + scale (c - u),  rescale * g * std(c) / std(g) + (1 - rescale) * g
/// std over the whole picture, divided by n - 1. Source: Ho & Salimans 2022, arXiv:2207.12598;
/// section 3.4 of arXiv:2305.08891; diffusers `rescale_noise_cfg`.
template <class T>
std::vector<T> guided(std::span<const T> unconditional, std::span<const T> conditional, T scale,
                      T rescale = T(0)) {
  const auto deviation = [](std::span<const T> values) {
    T mean = 0;
    for (const T value : values) mean += value;
    mean /= static_cast<T>(values.size());
    T squares = 0;
    for (const T value : values) squares += (value - mean) * (value - mean);
    return std::sqrt(squares / static_cast<T>(values.size() - 1));
  };
  std::vector<T> result(conditional.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = unconditional[i] + scale * (conditional[i] - unconditional[i]);
  }
  if (rescale > T(0)) {
    const T factor = deviation(conditional) / deviation(std::span<const T>(result));
    for (T& value : result) value = rescale * (value * factor) + (T(1) - rescale) * value;
  }
  return result;
}

/// The dynamic threshold of one picture: the quantile of |m|, linear between the two neighbours in
/// order of size, then at least 1 and at most `max_value` (which wins). The rank is a product in
/// float32, as in torch.quantile.
template <class T>
T dynamic_threshold(std::span<const T> output, float ratio, float max_value) {
  std::vector<T> sizes(output.begin(), output.end());
  for (T& value : sizes) value = std::abs(value);
  std::sort(sizes.begin(), sizes.end());
  const float rank = ratio * static_cast<float>(sizes.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(rank), sizes.size() - 1);
  const auto above = std::min(below + 1, sizes.size() - 1);
  const auto weight = static_cast<T>(rank - std::floor(rank));
  const T quantile = sizes[below] + weight * (sizes[above] - sizes[below]);
  return std::min(std::max(quantile, T(1)), static_cast<T>(max_value));
}

/// The definition of `StepRow`, on one picture. `noise` may be empty where next_noise is 0.
template <class T>
void apply_step_row(const StepRow& row, std::span<const T> noise_pred, std::span<const T> noise,
                    StepState<T>& state) {
  const std::size_t n = state.sample.size();
  const auto term = [](float factor, std::span<const T> values, std::size_t i) {
    return factor == 0 ? T(0) : static_cast<T>(factor) * values[i];
  };

  std::vector<T> output(n);
  for (std::size_t i = 0; i < n; ++i) {
    output[i] =
        term(row.to_output_sample, state.sample, i) + term(row.to_output_noise_pred, noise_pred, i);
  }
  if (row.clip > 0) {
    const auto clip = static_cast<T>(row.clip);
    for (T& value : output) value = std::min(std::max(value, -clip), clip);
  }
  if (row.threshold_ratio > 0) {
    const T s =
        dynamic_threshold(std::span<const T>(output), row.threshold_ratio, row.threshold_max_value);
    for (T& value : output) value = std::min(std::max(value, -s), s) / s;
  }

  std::vector<T> saved(n);
  std::vector<T> next(n);
  for (std::size_t i = 0; i < n; ++i) {
    saved[i] = term(row.saved_sample, state.sample, i) + term(row.saved_saved, state.saved, i) +
               term(row.saved_output, output, i);
    for (std::size_t k = 0; k < row.saved_history.size(); ++k) {
      saved[i] += term(row.saved_history[k], state.history[k], i);
    }
    next[i] = term(row.next_sample, state.sample, i) + term(row.next_saved, saved, i) +
              term(row.next_output, output, i);
    for (std::size_t k = 0; k < row.next_history.size(); ++k) {
      next[i] += term(row.next_history[k], state.history[k], i);
    }
    next[i] += term(row.next_noise_pred, noise_pred, i) + term(row.next_noise, noise, i);
  }
  state.saved = std::move(saved);
  state.sample = std::move(next);
  if (row.push) {
    std::rotate(state.history.rbegin(), state.history.rbegin() + 1, state.history.rend());
    state.history[0] = std::move(output);
  }
}

}  // namespace diffuse::reference
