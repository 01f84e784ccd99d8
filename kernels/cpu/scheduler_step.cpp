#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/base/step_row.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/halves.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/step_index.hpp"

namespace diffuse::cpu {
namespace {

// One picture's operands; null where absent. Arithmetic is in double, storage in f32.
struct Picture {
  std::int64_t size = 0;
  float* sample = nullptr;
  float* saved = nullptr;
  float* history[StepRow::kHistory] = {};
  const float* noise = nullptr;
  std::vector<double> noise_pred;
  std::vector<double> output;  // m
};

double standard_deviation(const std::vector<double>& values) {
  double total = 0;
  for (const double v : values) total += v;
  const double mean = total / static_cast<double>(values.size());
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

template <class T>
std::vector<double> guided(const SchedulerStepOp& op, std::int64_t n, std::int64_t size) {
  const std::int64_t batch = op.sample.shape()[0];
  const T* first = op.noise_pred.data<T>() + n * size;
  std::vector<double> out(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(to_float(first[i]));
  if (op.noise_pred.shape()[0] == batch) return out;

  const T* second = first + batch * size;
  const double scale = static_cast<double>(op.guidance.data<float>()[2 * n]);
  const double rescale = static_cast<double>(op.guidance.data<float>()[2 * n + 1]);
  std::vector<double> conditional(out.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    conditional[i] = static_cast<double>(to_float(second[i]));
    out[i] += scale * (conditional[i] - out[i]);
  }
  if (rescale > 0) {
    const double ratio = standard_deviation(conditional) / standard_deviation(out);
    for (double& e : out) e += rescale * (e * ratio - e);
  }
  return out;
}

// As torch.quantile: linear between the two nearest ranks, the rank being a product in f32.
double quantile(std::vector<double> values, float q) {
  const float rank = q * static_cast<float>(values.size() - 1);
  const auto last = static_cast<std::ptrdiff_t>(values.size()) - 1;
  const auto below = std::min(static_cast<std::ptrdiff_t>(rank), last);
  std::nth_element(values.begin(), values.begin() + below, values.end());
  const double low = values[static_cast<std::size_t>(below)];
  if (below == last) return low;
  const double high = *std::min_element(values.begin() + below + 1, values.end());
  return low + static_cast<double>(rank - std::floor(rank)) * (high - low);
}

// m = a sample + b noise_pred, clipped or thresholded.
void make_output(const StepRow& row, Picture& picture) {
  auto& m = picture.output;
  m.assign(static_cast<std::size_t>(picture.size), 0.0);
  for (std::size_t i = 0; i < m.size(); ++i) {
    if (row.to_output_sample != 0) {
      m[i] += static_cast<double>(row.to_output_sample) * static_cast<double>(picture.sample[i]);
    }
    if (row.to_output_noise_pred != 0) {
      m[i] += static_cast<double>(row.to_output_noise_pred) * picture.noise_pred[i];
    }
  }
  if (row.clip > 0) {
    const auto clip = static_cast<double>(row.clip);
    for (double& v : m) v = std::clamp(v, -clip, clip);
  }
  if (row.threshold_ratio > 0) {
    std::vector<double> magnitude(m.size());
    for (std::size_t i = 0; i < m.size(); ++i) magnitude[i] = std::abs(m[i]);
    const double limit =
        std::min(std::max(quantile(std::move(magnitude), row.threshold_ratio), 1.0),
                 static_cast<double>(row.threshold_max_value));
    for (double& v : m) v = std::min(std::max(v, -limit), limit) / limit;
  }
}

// A factor and what it multiplies; a factor of 0 does not read.
double term(float factor, const float* values, std::size_t i) {
  return factor == 0 ? 0.0 : static_cast<double>(factor) * static_cast<double>(values[i]);
}

void apply(const StepRow& row, Picture& picture) {
  make_output(row, picture);
  const bool saves = picture.saved != nullptr;
  for (std::size_t i = 0; i < picture.output.size(); ++i) {
    const double m = picture.output[i];
    if (saves) {
      double saved = term(row.saved_sample, picture.sample, i) +
                     term(row.saved_saved, picture.saved, i) +
                     static_cast<double>(row.saved_output) * m;
      for (std::size_t k = 0; k < StepRow::kHistory; ++k) {
        saved += term(row.saved_history[k], picture.history[k], i);
      }
      picture.saved[i] = static_cast<float>(saved);
    }
    double next = term(row.next_sample, picture.sample, i) +
                  term(row.next_saved, picture.saved, i) + static_cast<double>(row.next_output) * m;
    for (std::size_t k = 0; k < StepRow::kHistory; ++k) {
      next += term(row.next_history[k], picture.history[k], i);
    }
    if (row.next_noise_pred != 0) {
      next += static_cast<double>(row.next_noise_pred) * picture.noise_pred[i];
    }
    next += term(row.next_noise, picture.noise, i);
    picture.sample[i] = static_cast<float>(next);
    if (row.push && picture.history[0] != nullptr) {
      for (std::size_t k = StepRow::kHistory - 1; k > 0; --k) {
        picture.history[k][i] = picture.history[k - 1][i];
      }
      picture.history[0][i] = static_cast<float>(m);
    }
  }
}

}  // namespace

void CpuBackend::run(const SchedulerStepOp& op) {
  const std::int64_t batch = op.sample.shape()[0];
  const std::int64_t total = op.sample.shape().elements();
  const std::int64_t size = batch == 0 ? 0 : total / batch;
  const std::int64_t index = step_index(op.step, op.rows.shape()[0], "scheduler_step");
  StepRow row;
  std::memcpy(&row, op.rows.data<std::byte>() + static_cast<std::size_t>(index) * sizeof(StepRow),
              sizeof(StepRow));

  for (std::int64_t n = 0; n < batch && size > 0; ++n) {
    Picture picture;
    picture.size = size;
    picture.sample = op.sample.data<float>() + n * size;
    if (!op.saved.empty()) picture.saved = op.saved.data<float>() + n * size;
    if (!op.noise.empty()) picture.noise = op.noise.data<float>() + n * size;
    for (int k = 0; k < StepRow::kHistory && !op.history.empty(); ++k) {
      picture.history[k] = op.history.data<float>() + k * total + n * size;
    }
    picture.noise_pred = op.noise_pred.dtype() == DType::f32 ? guided<float>(op, n, size)
                                                             : guided<Bf16>(op, n, size);
    apply(row, picture);
  }
  ++*op.step.data<std::int32_t>();
}

}  // namespace diffuse::cpu
