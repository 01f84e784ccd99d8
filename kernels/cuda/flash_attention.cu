#include "kernels/cuda/flash_rows.cuh"

// Flash attention on tensor cores (Dao 2023, arXiv:2307.08691). A warp keeps 16 queries in
// registers as A fragments; keys and values come through shared memory in two buffers, the next
// tile's copy under way while this one is multiplied; scores stay in registers and become,
// converted, the A fragments of the second product. head_dim is padded to 16 for the first product
// only: 40 costs 48 there and 40 in the second.
namespace diffuse::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kQueries = 16 * kWarps;  // of a block

template <int D>
struct Tiles {
  static constexpr int kPadded = (D + 15) / 16 * 16;
  static constexpr int kKeys = D > 80 ? 32 : 64;
  // 16 bytes more a row: the rows that one ldmatrix reads lie in different banks.
  static constexpr int kStride = kPadded + 8;
  static constexpr int kTile = kKeys * kStride;               // halves
  static constexpr std::size_t kShared = 2U * 2 * kTile * 2;  // keys, values; two buffers; bytes
};

// Starts copying `rows` rows from `first` on; rows from `end` on become zeros.
template <class T, int D>
__device__ void copy_tile(T* to, const T* from, std::int64_t stride, std::int64_t first,
                          std::int64_t end) {
  constexpr int kChunks = D / 8;
  for (int i = static_cast<int>(threadIdx.x); i < Tiles<D>::kKeys * kChunks; i += kThreads) {
    const int row = i / kChunks, chunk = i % kChunks;
    const bool inside = first + row < end;
    const std::int64_t at = inside ? first + row : 0;
    copy_async(to + row * Tiles<D>::kStride + chunk * 8, from + at * stride + chunk * 8, inside);
  }
}

// Columns [D, padded) of a tile: never copied, so made zero once.
template <class T, int D>
__device__ void clear_padding(T* tile) {
  constexpr int kPadding = Tiles<D>::kPadded - D;
  if constexpr (kPadding > 0) {
    for (int i = static_cast<int>(threadIdx.x); i < Tiles<D>::kKeys * kPadding; i += kThreads) {
      tile[i / kPadding * Tiles<D>::kStride + D + i % kPadding] = from_float<T>(0);
    }
  }
}

// Scores of one tile: q k^T, scaled to the base of 2, -inf where a key is not to be seen.
template <class T, int D>
__device__ void tile_scores(float (&scores)[Tiles<D>::kKeys / 8][4],
                            const unsigned (&q)[Tiles<D>::kPadded / 16][4], const T* keys,
                            const FlashOperands& op, std::int64_t row, std::int64_t first_key) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int n = 0; n < Tiles<D>::kKeys / 8; ++n) {
    for (float& s : scores[n]) s = 0;
#pragma unroll
    for (int step = 0; step < Tiles<D>::kPadded / 16; ++step) {
      unsigned b[2];
      load_matrices<false>(
          b, keys + (8 * n + lane % 8) * Tiles<D>::kStride + 16 * step + 8 * (lane / 8 % 2));
      mma_m16n8k16<T>(scores[n], q[step], b);
    }
    for (int i = 0; i < 4; ++i) {
      const std::int64_t key = first_key + 8 * n + 2 * (lane % 4) + i % 2;
      const bool seen = key < op.keys && (!op.causal || key <= row + 8 * (i / 2));
      scores[n][i] = seen ? scores[n][i] * op.scale_log2 : -INFINITY;
    }
  }
}

// The tile's scores become probabilities; sums and output shrink to the new maximum.
template <int D>
__device__ void softmax_tile(float (&scores)[Tiles<D>::kKeys / 8][4], RowState<D>& state) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float most = state.most[half];
    for (auto& s : scores) most = fmaxf(most, fmaxf(s[2 * half], s[2 * half + 1]));
    for (int mask = 1; mask <= 2; mask *= 2) {  // the four lanes of a row
      most = fmaxf(most, __shfl_xor_sync(0xFFFFFFFFU, most, mask));
    }
    // A row that has not seen a key yet has nothing to shrink.
    const float base = most == -INFINITY ? 0 : most;
    const float shrink = exp2f(state.most[half] - base);
    state.most[half] = most;
    float sum = 0;
    for (auto& s : scores) {
      s[2 * half] = exp2f(s[2 * half] - base);
      s[2 * half + 1] = exp2f(s[2 * half + 1] - base);
      sum += s[2 * half] + s[2 * half + 1];
    }
    state.sum[half] = state.sum[half] * shrink + sum;
    for (auto& o : state.out) {
      o[2 * half] *= shrink;
      o[2 * half + 1] *= shrink;
    }
  }
}

// out += probabilities * values.
template <class T, int D>
__device__ void add_values(const float (&scores)[Tiles<D>::kKeys / 8][4], const T* values,
                           RowState<D>& state) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int step = 0; step < Tiles<D>::kKeys / 16; ++step) {
    const auto& left = scores[2 * step];
    const auto& right = scores[2 * step + 1];
    const unsigned a[4] = {pack<T>(left[0], left[1]), pack<T>(left[2], left[3]),
                           pack<T>(right[0], right[1]), pack<T>(right[2], right[3])};
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      unsigned b[2];
      load_matrices<true>(b, values + (16 * step + lane % 16) * Tiles<D>::kStride + 8 * n);
      mma_m16n8k16<T>(state.out[n], a, b);
    }
  }
}

// Grid (query tiles, heads, pictures).
template <class T, int D>
__global__ void __launch_bounds__(kThreads) flash_attention_kernel(FlashOperands op) {
#if !defined(__CUDACC__) || defined(DIFFUSE_TENSOR_CORES)
  DYNAMIC_SHARED(T, shared);  // keys [2 tiles], values [2 tiles]
  constexpr int kTile = Tiles<D>::kTile, kKeys = Tiles<D>::kKeys;
  const std::int64_t head = static_cast<std::int64_t>(blockIdx.y) * D, n = blockIdx.z;
  const T* q = static_cast<const T*>(op.q) + n * op.queries * op.q_stride + head;
  const T* k = static_cast<const T*>(op.k) + n * op.keys * op.k_stride + head;
  const T* v = static_cast<const T*>(op.v) + n * op.keys * op.v_stride + head;
  T* y = static_cast<T*>(op.y) + n * op.queries * op.y_stride + head;
  const std::int64_t block_row = static_cast<std::int64_t>(blockIdx.x) * kQueries;
  const std::int64_t row = block_row + 16 * (threadIdx.x / 32) + threadIdx.x % 32 / 4;
  const std::int64_t keys =
      op.causal && block_row + kQueries < op.keys ? block_row + kQueries : op.keys;

  for (int buffer = 0; buffer < 2; ++buffer) clear_padding<T, D>(shared + buffer * kTile);
  copy_tile<T, D>(shared, k, op.k_stride, 0, keys);
  copy_tile<T, D>(shared + 2 * kTile, v, op.v_stride, 0, keys);
  commit_copies();
  unsigned fragments[Tiles<D>::kPadded / 16][4];
  load_queries<T, D>(fragments, q, op.q_stride, row, op.queries);

  RowState<D> state;
  int buffer = 0;
  for (std::int64_t first = 0; first < keys; first += kKeys, buffer ^= 1) {
    if (first + kKeys < keys) {
      copy_tile<T, D>(shared + (buffer ^ 1) * kTile, k, op.k_stride, first + kKeys, keys);
      copy_tile<T, D>(shared + (2 + (buffer ^ 1)) * kTile, v, op.v_stride, first + kKeys, keys);
    }
    commit_copies();
    wait_copies<1>();
    __syncthreads();
    float scores[kKeys / 8][4];
    tile_scores<T, D>(scores, fragments, shared + buffer * kTile, op, row, first);
    softmax_tile<D>(scores, state);
    add_values<T, D>(scores, shared + (2 + buffer) * kTile, state);
    __syncthreads();
  }
  store_rows<T, D, D>(state, y, op.y_stride, row, op.queries);
#endif
}

template <class T, int D>
void launch_flash(const FlashOperands& operands, const AttentionOp& op, const Context& context) {
  const dim3 grid(blocks_of(operands.queries, kQueries), static_cast<unsigned>(op.heads),
                  static_cast<unsigned>(op.q.shape()[0]));
  launch(context, flash_attention_kernel<T, D>, grid, kThreads, Tiles<D>::kShared, operands);
}

}  // namespace

bool run_flash_attention(const AttentionOp& op, const Context& context) {
  if (!context.tensor_cores || !suits_flash(op)) return false;
  const FlashOperands operands = flash_operands(op);
  return with_half(op.q.dtype(), [&]<class T>(T*) {
    switch (op.q.shape().back() / op.heads) {
      case 40:
        launch_flash<T, 40>(operands, op, context);
        return true;
      case 64:
        launch_flash<T, 64>(operands, op, context);
        return true;
      case 80:
        launch_flash<T, 80>(operands, op, context);
        return true;
      case 160:
        launch_flash<T, 160>(operands, op, context);
        return true;
      default:
        return false;
    }
  });
}

}  // namespace diffuse::cuda
