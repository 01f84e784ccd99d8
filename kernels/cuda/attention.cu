#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/op_kernels.hpp"

// Attention for any head_dim and dtype: a tile of queries meets tiles of keys, the scores of one
// tile in shared memory, sums and softmax in f32 with a running maximum.
namespace diffuse::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kKeys = 32;

struct AttentionOperands {
  const void *q, *k, *v;
  void* y;
  std::int64_t queries, keys, q_stride, k_stride, v_stride, y_stride;
  int head_dim, rows;  // rows: queries of a block
  float scale;
  bool causal;
};

// Grid (query tiles, heads, pictures). Shared: output [rows, head_dim], scores [rows, kKeys], and
// the running maximum, sum and rescaling of each row.
template <class T>
__global__ void attention_kernel(AttentionOperands op) {
  DYNAMIC_SHARED(float, out);
  const int dim = op.head_dim, thread = static_cast<int>(threadIdx.x);
  float* scores = out + op.rows * dim;
  float* most = scores + op.rows * kKeys;
  float* sum = most + op.rows;
  float* shrink = sum + op.rows;
  const std::int64_t head = static_cast<std::int64_t>(blockIdx.y) * dim;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * op.rows;
  const std::int64_t n = blockIdx.z;
  const T* q = static_cast<const T*>(op.q) + n * op.queries * op.q_stride + head;
  const T* k = static_cast<const T*>(op.k) + n * op.keys * op.k_stride + head;
  const T* v = static_cast<const T*>(op.v) + n * op.keys * op.v_stride + head;
  for (int i = thread; i < op.rows * dim; i += kThreads) out[i] = 0;
  for (int r = thread; r < op.rows; r += kThreads) {
    most[r] = -INFINITY;
    sum[r] = 0;
  }
  __syncthreads();

  const std::int64_t keys = op.causal ? min(op.keys, first + op.rows) : op.keys;
  for (std::int64_t begin = 0; begin < keys; begin += kKeys) {
    for (int i = thread; i < op.rows * kKeys; i += kThreads) {
      const std::int64_t row = first + i / kKeys, key = begin + i % kKeys;
      float score = -INFINITY;
      if (row < op.queries && key < op.keys && (!op.causal || key <= row)) {
        score = 0;
        for (int d = 0; d < dim; ++d) {
          score += to_float(q[row * op.q_stride + d]) * to_float(k[key * op.k_stride + d]);
        }
        score *= op.scale;
      }
      scores[i] = score;
    }
    __syncthreads();
    for (int r = thread; r < op.rows; r += kThreads) {
      float highest = most[r];
      for (int j = 0; j < kKeys; ++j) highest = fmaxf(highest, scores[r * kKeys + j]);
      // A row that has no key yet has nothing to shrink.
      const float base = highest == -INFINITY ? 0 : highest;
      float total = 0;
      for (int j = 0; j < kKeys; ++j) {
        const float p = expf(scores[r * kKeys + j] - base);
        scores[r * kKeys + j] = p;
        total += p;
      }
      shrink[r] = expf(most[r] - base);
      sum[r] = sum[r] * shrink[r] + total;
      most[r] = highest;
    }
    __syncthreads();
    const int tile = static_cast<int>(min(std::int64_t{kKeys}, keys - begin));
    for (int i = thread; i < op.rows * dim; i += kThreads) {
      const int r = i / dim, d = i % dim;
      float value = out[i] * shrink[r];
      for (int j = 0; j < tile; ++j) {
        value += scores[r * kKeys + j] * to_float(v[(begin + j) * op.v_stride + d]);
      }
      out[i] = value;
    }
    __syncthreads();
  }
  T* y = static_cast<T*>(op.y) + n * op.queries * op.y_stride + head;
  for (int i = thread; i < op.rows * dim; i += kThreads) {
    const std::int64_t row = first + i / dim;
    if (row < op.queries) y[row * op.y_stride + i % dim] = from_float<T>(out[i] / sum[i / dim]);
  }
}

}  // namespace

void run_plain_attention(const AttentionOp& op, const Context& context) {
  AttentionOperands operands{};
  operands.q = op.q.data<void>();
  operands.k = op.k.data<void>();
  operands.v = op.v.data<void>();
  operands.y = op.y.data<void>();
  operands.queries = op.q.shape()[1];
  operands.keys = op.k.shape()[1];
  operands.q_stride = op.q.row_stride();
  operands.k_stride = op.k.row_stride();
  operands.v_stride = op.v.row_stride();
  operands.y_stride = op.y.row_stride();
  operands.head_dim = static_cast<int>(op.q.shape().back()) / op.heads;
  operands.scale = op.scale;
  operands.causal = op.causal;
  // As many queries a block as 40 KiB of shared memory hold, at most 16.
  constexpr int kFloats = 10240;
  const auto floats_a_row = operands.head_dim + kKeys + 3;
  operands.rows = kFloats / floats_a_row < 16 ? kFloats / floats_a_row : 16;
  if (operands.rows < 1) {
    throw DeviceError("attention with head_dim " + std::to_string(operands.head_dim) +
                      " is more than the GPU kernel holds; use --device cpu");
  }
  const dim3 grid(blocks_of(operands.queries, operands.rows), static_cast<unsigned>(op.heads),
                  static_cast<unsigned>(op.q.shape()[0]));
  const std::size_t shared = sizeof(float) * static_cast<std::size_t>(operands.rows * floats_a_row);
  with_element(op.q.dtype(), [&]<class T>(T*) {
    launch(context, attention_kernel<T>, grid, kThreads, shared, operands);
  });
}

void run(const AttentionOp& op, const Context& context) {
  if (op.y.shape().elements() == 0) return;
  if (!run_flash_attention(op, context)) run_plain_attention(op, context);
}

}  // namespace diffuse::cuda
