#pragma once

#include "kernels/cuda/mma_tile.cuh"
#include "kernels/cuda/op_kernels.hpp"

// What the flash-attention kernels share: operands, and rows in the fragment layout that mma and
// wgmma have in common. A warp holds 16 rows; lane l has rows l/4 and l/4 + 8.
namespace diffuse::cuda {

struct FlashOperands {
  const void *q, *k, *v;
  void* y;
  std::int64_t queries, keys, q_stride, k_stride, v_stride, y_stride;
  float scale_log2;  // scale / ln 2: the softmax is taken to the base of 2
  bool causal;
};

inline FlashOperands flash_operands(const AttentionOp& op) {
  FlashOperands operands{};
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
  operands.scale_log2 = op.scale * 1.44269504088896341F;
  operands.causal = op.causal;
  return operands;
}

/// Halves whose every row 16-byte copies reach.
inline bool suits_flash(const AttentionOp& op) {
  const auto reachable = [](const Tensor& rows) {
    return reinterpret_cast<std::uintptr_t>(rows.data<std::byte>()) % 16 == 0 &&
           rows.row_stride() % 8 == 0;
  };
  return (op.q.dtype() == DType::f16 || op.q.dtype() == DType::bf16) && reachable(op.q) &&
         reachable(op.k) && reachable(op.v) && reachable(op.y);
}

/// Calls `body` with a null pointer of the dtype, which is one of the halves.
template <class Body>
bool with_half(DType dtype, const Body& body) {
  return dtype == DType::f16 ? body(static_cast<__half*>(nullptr))
                             : body(static_cast<__nv_bfloat16*>(nullptr));
}

/// The A fragments of a warp's 16 queries, straight from memory; zeros beyond D and `queries`.
template <class T, int D>
__device__ void load_queries(unsigned (&fragments)[(D + 15) / 16][4], const T* q,
                             std::int64_t stride, std::int64_t row, std::int64_t queries) {
  const int column = 2 * static_cast<int>(threadIdx.x % 4);
  for (int step = 0; step < (D + 15) / 16; ++step) {
    for (int i = 0; i < 4; ++i) {
      const std::int64_t r = row + 8 * (i % 2);
      const int c = 16 * step + column + 8 * (i / 2);
      fragments[step][i] = 0;
      if (r < queries && c < D) memcpy(&fragments[step][i], q + r * stride + c, 4);
    }
  }
}

/// What a warp carries from tile to tile: for its two rows a lane, maximum and sum; the output.
template <int columns>
struct RowState {
  float most[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0, 0};
  float out[columns / 8][4] = {};
};

/// The first D columns of the output, divided by the sums.
template <class T, int D, int columns>
__device__ void store_rows(const RowState<columns>& state, T* y, std::int64_t stride,
                           std::int64_t row, std::int64_t queries) {
  const int column = 2 * static_cast<int>(threadIdx.x % 4);
  for (int half = 0; half < 2; ++half) {
    float sum = state.sum[half];
    for (int mask = 1; mask <= 2; mask *= 2) sum += __shfl_xor_sync(0xFFFFFFFFU, sum, mask);
    const std::int64_t r = row + 8 * half;
    if (r >= queries) continue;
    const float inverse = 1.0F / sum;
    for (int n = 0; n < D / 8; ++n) {
      const unsigned pair =
          pack<T>(state.out[n][2 * half] * inverse, state.out[n][2 * half + 1] * inverse);
      *reinterpret_cast<unsigned*>(y + r * stride + 8 * n + column) = pair;
    }
  }
}

}  // namespace diffuse::cuda
