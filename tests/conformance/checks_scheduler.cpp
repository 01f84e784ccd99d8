#include <cstring>

#include "core/base/step_row.hpp"
#include "tests/conformance/check.hpp"
#include "tests/reference/step_row.hpp"

namespace diffuse::test {
namespace {

struct SchedulerCase {
  const char* what;
  bool halves;  ///< noise_pred holds the unconditional half too
  double rescale;
  StepRow row;
  bool noise = false;
  int steps = 3;  ///< the row is applied so often, so that history fills up
};

StepRow multistep_row() {
  StepRow row;
  row.to_output_sample = 1.2F;
  row.to_output_noise_pred = -0.7F;
  row.saved_sample = 0.3F;
  row.saved_saved = 0.4F;
  row.saved_output = -0.2F;
  row.saved_history = {0.1F, -0.05F, 0.02F};
  row.next_sample = 0.6F;
  row.next_saved = 0.15F;
  row.next_output = 0.5F;
  row.next_history = {-0.3F, 0.2F, -0.1F};
  row.next_noise_pred = 0.07F;
  row.next_noise = 0.25F;
  row.push = true;
  return row;
}

StepRow ddim_row() {
  StepRow row;
  row.to_output_sample = 1.1F;
  row.to_output_noise_pred = -0.5F;
  row.next_output = 0.9F;
  row.next_noise_pred = 0.4F;
  return row;
}

std::vector<SchedulerCase> scheduler_cases() {
  std::vector<SchedulerCase> cases;
  cases.push_back({"one half, nothing but sample and noise_pred", false, 0.0, ddim_row()});
  cases.push_back({"guidance", true, 0.0, ddim_row()});
  cases.push_back({"guidance with rescale", true, 0.7, ddim_row()});
  cases.push_back({"every term", true, 0.0, multistep_row(), true, 5});
  StepRow clipped = ddim_row();
  clipped.clip = 0.8F;
  cases.push_back({"clipped", true, 0.0, clipped});
  StepRow thresholded = ddim_row();
  thresholded.threshold_ratio = 0.9F;
  thresholded.threshold_max_value = 1.7F;
  cases.push_back({"thresholded, bounded by the largest value", true, 0.0, thresholded});
  thresholded.threshold_max_value = 100.0F;
  cases.push_back({"thresholded between two values", true, 0.0, thresholded});
  thresholded.threshold_ratio = 1.0F;
  cases.push_back({"thresholded at the largest value", true, 0.0, thresholded});
  thresholded.to_output_sample = 0.01F;
  thresholded.to_output_noise_pred = 0.01F;
  cases.push_back({"threshold below 1", true, 0.0, thresholded});
  return cases;
}

constexpr std::int64_t kBatch = 3;
const Shape kShape = {kBatch, 5, 7, 4};
constexpr std::int64_t kSize = 5 * 7 * 4;

double guidance_scale(std::int64_t n) { return 2.5 + static_cast<double>(n); }

// Sample, saved and history after all steps, one after another.
Array wanted(const SchedulerCase& c, const Array& sample, const Array& noise_pred,
             const Array& noise) {
  const auto picture = [](const Array& a, std::int64_t n) {
    return std::vector<double>(a.values.begin() + n * kSize, a.values.begin() + (n + 1) * kSize);
  };
  Array out({kBatch, 5, kSize});
  for (std::int64_t n = 0; n < kBatch; ++n) {
    reference::StepState<double> state;
    state.sample = picture(sample, n);
    state.saved.assign(kSize, 0.0);
    for (auto& h : state.history) h.assign(kSize, 0.0);
    std::vector<double> e = picture(noise_pred, n);
    if (c.halves) {
      const auto conditional = picture(noise_pred, kBatch + n);
      e = reference::guided<double>(e, conditional, guidance_scale(n),
                                    static_cast<double>(static_cast<float>(c.rescale)));
    }
    const auto drawn = picture(noise, n);
    for (int s = 0; s < c.steps; ++s) {
      reference::apply_step_row<double>(c.row, e, drawn, state);
    }
    for (std::int64_t i = 0; i < kSize; ++i) {
      const auto at = static_cast<std::size_t>(i);
      out[(n * 5 + 0) * kSize + i] = state.sample[at];
      out[(n * 5 + 1) * kSize + i] = state.saved[at];
      for (std::size_t k = 0; k < 3; ++k) {
        out[(n * 5 + 2 + static_cast<std::int64_t>(k)) * kSize + i] = state.history[k][at];
      }
    }
  }
  return out;
}

Tensor stepped(const SchedulerCase& c, const Array& sample, const Array& noise_pred,
               const Array& noise, Device& device, Slice slice) {
  Ops& ops = device.ops();
  const std::int64_t count = slice.end - slice.begin;
  Array pred = entries_of(noise_pred, slice);
  Array guidance({count, 2});
  for (std::int64_t n = 0; n < count; ++n) {
    guidance[2 * n] = guidance_scale(slice.begin + n);
    guidance[2 * n + 1] = c.rescale;
  }
  if (c.halves) {
    const Array second = entries_of(noise_pred, {kBatch + slice.begin, kBatch + slice.end});
    Array both(pred.shape.with_front(2 * count));
    std::copy(pred.values.begin(), pred.values.end(), both.values.begin());
    std::copy(second.values.begin(), second.values.end(),
              both.values.begin() + static_cast<std::ptrdiff_t>(pred.values.size()));
    pred = both;
  }
  SchedulerStepOp op;
  op.sample = device.put(entries_of(sample, slice), DType::f32);
  op.noise_pred = device.put(pred, device.dtype());
  op.guidance = device.put_f32(guidance);
  const auto row_count = static_cast<std::int64_t>(c.steps);
  op.rows = ops.make(DType::u8, {row_count, static_cast<std::int64_t>(sizeof(StepRow))});
  const std::vector<StepRow> rows(static_cast<std::size_t>(c.steps), c.row);
  ops.write_bytes(std::as_bytes(std::span(rows)), op.rows);
  op.step = device.put_ints({0}, {1});
  op.saved = device.put_f32(Array({count, kSize}));
  op.history = device.put_f32(Array({3, count * kSize}));
  if (c.noise) op.noise = device.put(entries_of(noise, slice), DType::f32);
  for (int s = 0; s < c.steps; ++s) ops.scheduler_step(op);

  // Sample, saved and history side by side, picture by picture.
  const Tensor out = ops.make(DType::f32, {count, 5 * kSize});
  ops.copy(op.sample.reshape({count, kSize}), out.columns(0, kSize));
  ops.copy(op.saved.reshape({count, kSize}), out.columns(kSize, 2 * kSize));
  for (std::int64_t k = 0; k < 3; ++k) {
    ops.copy(op.history.front(k, k + 1).reshape({count, kSize}),
             out.columns((2 + k) * kSize, (3 + k) * kSize));
  }
  return out;
}

}  // namespace

std::vector<Check> scheduler_checks(DType dtype) {
  std::vector<Check> checks;
  for (const SchedulerCase& c : scheduler_cases()) {
    const auto sample = random_array(kShape, DType::f32, 151, 2.0);
    const auto noise_pred =
        random_array(kShape.with_front(c.halves ? 2 * kBatch : kBatch), dtype, 152);
    const auto noise = random_array(kShape, DType::f32, 153);
    checks.push_back({"scheduler_step", c.what, kBatch,
                      [=](Device& device, Slice slice) {
                        return stepped(c, sample, noise_pred, noise, device, slice);
                      },
                      [=] { return wanted(c, sample, noise_pred, noise); }});
  }
  return checks;
}

}  // namespace diffuse::test
