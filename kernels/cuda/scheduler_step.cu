#include "core/base/step_row.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;
constexpr int kBins = 256;

struct StepOperands {
  float* sample;
  const void* noise_pred;
  const float* guidance;
  const StepRow* rows;
  std::int32_t* step;
  float* saved;
  float* history;
  const float* noise;
  std::int64_t size, total, row_count;  // elements of one picture and of all; rows of the table
  bool halves;
};

// What the threads of a block share: partial sums, a histogram.
struct Shared {
  double sums[kWarps];
  unsigned bins[kBins];
  unsigned long long prefix, rank;
};

__device__ double block_sum(double value, Shared& shared) {
  value = warp_sum(value);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared.sums[threadIdx.x / 32] = value;
  __syncthreads();
  double total = 0;
  for (int w = 0; w < kWarps; ++w) total += shared.sums[w];
  return total;
}

// Guided output of one picture. Recomputed wherever it is needed: that costs less than to keep it.
template <class T>
struct Guided {
  const T* first;   // unconditional half, or the only one
  const T* second;  // conditional half, or null
  double scale, rescale, ratio;

  __device__ double conditional(std::int64_t i) const { return to_float(second[i]); }
  __device__ double before_rescale(std::int64_t i) const {
    const double e = to_float(first[i]);
    return second == nullptr ? e : e + scale * (conditional(i) - e);
  }
  __device__ double at(std::int64_t i) const {
    const double e = before_rescale(i);
    return rescale > 0 ? e + rescale * (e * ratio - e) : e;
  }
};

// A factor and what it multiplies; a factor of 0 does not read.
__device__ double term(float factor, const float* values, std::int64_t i) {
  return factor == 0 ? 0.0 : static_cast<double>(factor) * static_cast<double>(values[i]);
}

// m before thresholding.
template <class T>
__device__ double output_at(const StepRow& row, const Guided<T>& guided, const float* sample,
                            std::int64_t i) {
  double m = term(row.to_output_sample, sample, i);
  if (row.to_output_noise_pred != 0) m += row.to_output_noise_pred * guided.at(i);
  if (row.clip > 0) {
    const double clip = row.clip;
    m = m < -clip ? -clip : (m > clip ? clip : m);
  }
  return m;
}

// Ratio of the unbiased deviations of the conditional and the guided output.
template <class T>
__device__ double deviation_ratio(const Guided<T>& guided, std::int64_t size, Shared& shared) {
  double a = 0, b = 0;
  for (std::int64_t i = threadIdx.x; i < size; i += kThreads) {
    a += guided.conditional(i);
    b += guided.before_rescale(i);
  }
  const double mean_a = block_sum(a, shared) / static_cast<double>(size);
  const double mean_b = block_sum(b, shared) / static_cast<double>(size);
  a = b = 0;
  for (std::int64_t i = threadIdx.x; i < size; i += kThreads) {
    const double da = guided.conditional(i) - mean_a, db = guided.before_rescale(i) - mean_b;
    a += da * da;
    b += db * db;
  }
  a = block_sum(a, shared);
  b = block_sum(b, shared);
  return sqrt(a) / sqrt(b);
}

// The value of the given rank among |m|: eight rounds of counting by one byte of its bits, which
// for values of one sign order as the values do.
template <class T>
__device__ double value_of_rank(const StepRow& row, const Guided<T>& guided, const float* sample,
                                std::int64_t size, unsigned long long rank, Shared& shared) {
  if (threadIdx.x == 0) {
    shared.prefix = 0;
    shared.rank = rank;
  }
  for (int shift = 56; shift >= 0; shift -= 8) {
    for (int b = static_cast<int>(threadIdx.x); b < kBins; b += kThreads) shared.bins[b] = 0;
    __syncthreads();
    for (std::int64_t i = threadIdx.x; i < size; i += kThreads) {
      const double m = output_at(row, guided, sample, i);
      const auto bits = static_cast<unsigned long long>(__double_as_longlong(fabs(m)));
      if (shift == 56 || bits >> (shift + 8) == shared.prefix) {
        atomicAdd(&shared.bins[bits >> shift & 0xFFU], 1U);
      }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      unsigned bin = 0;
      while (bin + 1 < kBins && shared.rank >= shared.bins[bin]) shared.rank -= shared.bins[bin++];
      shared.prefix = shared.prefix << 8 | bin;
    }
    __syncthreads();
  }
  const double found = __longlong_as_double(static_cast<long long>(shared.prefix));
  __syncthreads();
  return found;
}

// As torch.quantile: linear between the two nearest ranks, the rank being a product in f32.
template <class T>
__device__ double threshold_of(const StepRow& row, const Guided<T>& guided, const float* sample,
                               std::int64_t size, Shared& shared) {
  const float rank = row.threshold_ratio * static_cast<float>(size - 1);
  const std::int64_t last = size - 1;
  std::int64_t below = static_cast<std::int64_t>(rank);
  if (below > last) below = last;
  const auto at = static_cast<unsigned long long>(below);
  double value = value_of_rank(row, guided, sample, size, at, shared);
  if (below < last) {
    const double high = value_of_rank(row, guided, sample, size, at + 1, shared);
    value += static_cast<double>(rank - floorf(rank)) * (high - value);
  }
  if (value < 1) value = 1;
  return value < row.threshold_max_value ? value : static_cast<double>(row.threshold_max_value);
}

// One element: saved', next, history.
__device__ void apply_row(const StepRow& row, const StepOperands& op, double m, double noise_pred,
                          std::int64_t i) {
  const float* history[StepRow::kHistory];
  for (int k = 0; k < StepRow::kHistory; ++k) {
    history[k] = op.history == nullptr ? nullptr : op.history + k * op.total;
  }
  if (op.saved != nullptr) {
    double saved = term(row.saved_sample, op.sample, i) + term(row.saved_saved, op.saved, i) +
                   static_cast<double>(row.saved_output) * m;
    for (int k = 0; k < StepRow::kHistory; ++k)
      saved += term(row.saved_history[static_cast<std::size_t>(k)], history[k], i);
    op.saved[i] = static_cast<float>(saved);
  }
  double next = term(row.next_sample, op.sample, i) + term(row.next_saved, op.saved, i) +
                static_cast<double>(row.next_output) * m;
  for (int k = 0; k < StepRow::kHistory; ++k)
    next += term(row.next_history[static_cast<std::size_t>(k)], history[k], i);
  if (row.next_noise_pred != 0) next += static_cast<double>(row.next_noise_pred) * noise_pred;
  next += term(row.next_noise, op.noise, i);
  op.sample[i] = static_cast<float>(next);
  if (row.push && op.history != nullptr) {
    for (int k = StepRow::kHistory - 1; k > 0; --k)
      op.history[k * op.total + i] = history[k - 1][i];
    op.history[i] = static_cast<float>(m);
  }
}

// One block a picture; arithmetic in double, as the definition's.
template <class T>
__global__ void scheduler_step_kernel(StepOperands op) {
  DYNAMIC_SHARED(Shared, shared);
  const std::int64_t n = blockIdx.x, index = *op.step;
  if (index < 0 || index >= op.row_count) return;
  const StepRow& row = op.rows[index];
  const std::int64_t first = n * op.size;
  const T* pred = static_cast<const T*>(op.noise_pred);
  Guided<T> guided{pred + first, op.halves ? pred + op.total + first : nullptr, 0, 0, 1};
  if (op.halves) {
    guided.scale = op.guidance[2 * n];
    guided.rescale = op.guidance[2 * n + 1];
    if (guided.rescale > 0) guided.ratio = deviation_ratio(guided, op.size, *shared);
  }
  const float* sample = op.sample + first;
  double limit = 0;
  if (row.threshold_ratio > 0) limit = threshold_of(row, guided, sample, op.size, *shared);
  // Nobody changes the sample before all have read it for the threshold.
  __syncthreads();
  for (std::int64_t i = threadIdx.x; i < op.size; i += kThreads) {
    double m = output_at(row, guided, sample, i);
    if (row.threshold_ratio > 0) m = (m < -limit ? -limit : (m > limit ? limit : m)) / limit;
    const double e = row.next_noise_pred != 0 ? guided.at(i) : 0.0;
    apply_row(row, op, m, e, first + i);
  }
}

// A launch of its own: every block has read the counter by then.
__global__ void next_step_kernel(std::int32_t* step) { *step += 1; }

}  // namespace

void run(const SchedulerStepOp& op, const Context& context) {
  const std::int64_t batch = op.sample.shape()[0];
  const std::int64_t total = op.sample.shape().elements();
  StepOperands operands{};
  operands.sample = op.sample.data<float>();
  operands.noise_pred = op.noise_pred.data<void>();
  operands.guidance = op.guidance.empty() ? nullptr : op.guidance.data<float>();
  operands.rows = op.rows.data<StepRow>();
  operands.step = op.step.data<std::int32_t>();
  operands.saved = op.saved.empty() ? nullptr : op.saved.data<float>();
  operands.history = op.history.empty() ? nullptr : op.history.data<float>();
  operands.noise = op.noise.empty() ? nullptr : op.noise.data<float>();
  operands.size = batch == 0 ? 0 : total / batch;
  operands.total = total;
  operands.row_count = op.rows.shape()[0];
  operands.halves = op.noise_pred.shape()[0] != batch;
  with_element(op.noise_pred.dtype(), [&]<class T>(T*) {
    launch(context, scheduler_step_kernel<T>, static_cast<unsigned>(batch), kThreads,
           sizeof(Shared), operands);
  });
  launch(context, next_step_kernel, 1, 1, 0, operands.step);
}

}  // namespace diffuse::cuda
