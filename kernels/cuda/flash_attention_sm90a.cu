#include "kernels/cuda/flash_rows.cuh"
#include "kernels/cuda/wgmma_tile.cuh"

// Flash attention on the tensor cores of compute capability 9.0, by wgmma (Shah et al. 2024,
// arXiv:2407.08608, without its copy engine and its division of labour: rows are copied by all
// threads, so that they may lie apart as in a packed projection). A warpgroup has 64 queries, in
// registers as A fragments; its product of the next tile's scores and that of the last tile's
// values are under way together, and the softmax is taken while the second runs. One barrier a
// tile. A row's sums are taken in the order of the keys, whatever else there is.
namespace diffuse::cuda {
namespace {

template <int D>
struct Tiles {
  static constexpr int kPadded = (D + 15) / 16 * 16;
  static constexpr int kRegions = kPadded / 16;
  // Registers decide: a lane keeps queries, output, scores and probabilities, 128 with two
  // warpgroups and two blocks of them on a multiprocessor.
  static constexpr int kThreads = D > 80 ? 128 : 256;
  static constexpr int kKeys = D > 80 ? 32 : D > 64 ? 48 : 64;
  static constexpr int kColumns = D > 80 ? 80 : kPadded;  // of a product with values
  static constexpr unsigned kRegion = kRegionRow * kKeys;
  static constexpr unsigned kTile = kRegions * kRegion;  // bytes
  // Keys and values, two buffers each; what the alignment takes.
  static constexpr std::size_t kShared = std::size_t{4} * kTile + kRegionGroup;
  static constexpr int kQueries = kThreads / 2;  // of a block
};

// Starts copying rows from `first` on to a tile; rows from `end` on become zeros. Eight lanes write
// 4 rows of a region, 128 bytes in a row; 32 read from few lines of memory.
template <class T, int D>
__device__ void copy_tile(unsigned char* tile, const T* from, std::int64_t stride,
                          std::int64_t first, std::int64_t end) {
  using Tile = Tiles<D>;
#pragma unroll
  for (int begin = 0; begin < 2 * Tile::kRegions * Tile::kKeys; begin += Tile::kThreads) {
    const int i = begin + static_cast<int>(threadIdx.x);
    const int half = i % 2, region = i / 8 % Tile::kRegions;
    const int row = i / 8 / Tile::kRegions * 4 + i / 2 % 4;
    const int chunk = 2 * region + half;
    if (row >= Tile::kKeys || chunk >= D / 8) continue;
    const bool inside = first + row < end;
    const std::int64_t at = inside ? first + row : 0;
    copy_async(tile + region * Tile::kRegion + region_offset(row, half),
               from + at * stride + chunk * 8, inside);
  }
}

// Columns [D, padded) of all tiles, half a region: never copied, so made zero once.
template <int D>
__device__ void clear_padding(unsigned char* tiles) {
  using Tile = Tiles<D>;
  if constexpr (D % 16 != 0) {
    for (int i = static_cast<int>(threadIdx.x); i < 4 * Tile::kKeys; i += Tile::kThreads) {
      unsigned char* region = tiles + i / Tile::kKeys * Tile::kTile + D / 16 * Tile::kRegion;
      *reinterpret_cast<uint4*>(region + region_offset(i % Tile::kKeys, 1)) = uint4{0, 0, 0, 0};
    }
  }
}

// Starts scores = q k^T, of a tile of keys.
template <class T, int D>
__device__ __forceinline__ void start_scores(float (&scores)[Tiles<D>::kKeys / 8][4],
                                             const unsigned (&q)[Tiles<D>::kRegions][4],
                                             std::uint64_t keys) {
#pragma unroll
  for (int step = 0; step < Tiles<D>::kRegions; ++step) {
    start_wgmma<T, Tiles<D>::kKeys, false>(scores, 0, q[step], keys + step * Tiles<D>::kRegion / 16,
                                           step > 0);
  }
  commit_wgmma();
}

// Starts out += probabilities * values.
template <class T, int D>
__device__ __forceinline__ void start_values(float (&out)[Tiles<D>::kPadded / 8][4],
                                             const unsigned (&p)[Tiles<D>::kKeys / 16][4],
                                             std::uint64_t values) {
  constexpr int kColumns = Tiles<D>::kColumns;
#pragma unroll
  for (int step = 0; step < Tiles<D>::kKeys / 16; ++step) {
#pragma unroll
    for (int first = 0; first < Tiles<D>::kPadded; first += kColumns) {
      const unsigned bytes = first / 16 * Tiles<D>::kRegion + step * 16 * kRegionRow;
      start_wgmma<T, kColumns, true>(out, first / 8, p[step], values + bytes / 16, true);
    }
  }
  commit_wgmma();
}

// Scores become probabilities to the base of 2, those of keys from `seen` on 0; the sums shrink to
// the new maximum, and so must the output.
template <int keys>
__device__ __forceinline__ void softmax_tile(float (&scores)[keys / 8][4], std::int64_t seen,
                                             float scale, float (&most)[2], float (&sum)[2],
                                             float (&shrink)[2]) {
  if (seen < keys) {
    const int column = 2 * static_cast<int>(threadIdx.x % 4);
#pragma unroll
    for (int n = 0; n < keys / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (8 * n + column + i % 2 >= seen) scores[n][i] = -INFINITY;
      }
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float highest = most[half];
#pragma unroll
    for (int n = 0; n < keys / 8; ++n) {
      highest = fmaxf(highest, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
    }
    for (int mask = 1; mask <= 2; mask *= 2) {  // the four lanes of a row
      highest = fmaxf(highest, __shfl_xor_sync(0xFFFFFFFFU, highest, mask));
    }
    const float base = highest * scale;
    shrink[half] = fast_exp2(most[half] * scale - base);
    most[half] = highest;
    float total = 0;
#pragma unroll
    for (int n = 0; n < keys / 8; ++n) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        scores[n][i] = fast_exp2(fmaf(scores[n][i], scale, -base));
        total += scores[n][i];
      }
    }
    sum[half] = sum[half] * shrink[half] + total;
  }
}

template <int blocks>
__device__ __forceinline__ void shrink_output(float (&out)[blocks][4], const float (&shrink)[2]) {
#pragma unroll
  for (int n = 0; n < blocks; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) out[n][i] *= shrink[i / 2];
  }
}

// Probabilities as A fragments.
template <class T, int keys>
__device__ __forceinline__ void pack_tile(unsigned (&p)[keys / 16][4],
                                          const float (&scores)[keys / 8][4]) {
#pragma unroll
  for (int step = 0; step < keys / 16; ++step) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float* pair = &scores[2 * step + i / 2][2 * (i % 2)];
      p[step][i] = pack<T>(pair[0], pair[1]);
    }
  }
}

// What this thread has copied has arrived, and what all have is there for wgmma; nobody reads the
// buffers of the tile before any more.
__device__ __forceinline__ void land() {
  wait_copies<0>();
  fence_shared();
  __syncthreads();
}

// Grid (query tiles, heads, pictures).
template <class T, int D>
__global__ void __launch_bounds__(Tiles<D>::kThreads, 2) wgmma_attention_kernel(FlashOperands op) {
  using Tile = Tiles<D>;
  constexpr int kKeys = Tile::kKeys;
  DYNAMIC_SHARED(unsigned char, shared);  // keys [2 tiles], values [2 tiles]
  unsigned char* tiles = shared + (kRegionGroup - shared_address(shared) % kRegionGroup);
  const std::int64_t head = static_cast<std::int64_t>(blockIdx.y) * D, n = blockIdx.z;
  const T* q = static_cast<const T*>(op.q) + n * op.queries * op.q_stride + head;
  const T* k = static_cast<const T*>(op.k) + n * op.keys * op.k_stride + head;
  const T* v = static_cast<const T*>(op.v) + n * op.keys * op.v_stride + head;
  T* y = static_cast<T*>(op.y) + n * op.queries * op.y_stride + head;
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * Tile::kQueries +
                           16 * (threadIdx.x / 32) + threadIdx.x % 32 / 4;
  const auto copy_keys = [&](std::int64_t first, int buffer) {
    copy_tile<T, D>(tiles + buffer * Tile::kTile, k, op.k_stride, first, op.keys);
  };
  const auto copy_values = [&](std::int64_t first, int buffer) {
    copy_tile<T, D>(tiles + (2 + buffer) * Tile::kTile, v, op.v_stride, first, op.keys);
  };
  const std::uint64_t keys = region_descriptor(shared_address(tiles), Tile::kRegion);
  const std::uint64_t values = keys + 2 * Tile::kTile / 16;

  clear_padding<D>(tiles);
  copy_keys(0, 0);
  commit_copies();
  unsigned queries[Tile::kRegions][4];
  load_queries<T, D>(queries, q, op.q_stride, row, op.queries);
  RowState<Tile::kPadded> state;
  float shrink[2];
  unsigned p[kKeys / 16][4];

  // The first tile's scores.
  land();
  if (kKeys < op.keys) copy_keys(kKeys, 1);
  copy_values(0, 0);
  commit_copies();
  {
    float scores[kKeys / 8][4];
    fence_wgmma();
    start_scores<T, D>(scores, queries, keys);
    wait_wgmma<0>();
    hold(scores);
    softmax_tile<kKeys>(scores, op.keys, op.scale_log2, state.most, state.sum, shrink);
    pack_tile<T, kKeys>(p, scores);
  }

  // A tile's scores, and the values of the one before.
  int buffer = 1;
  for (std::int64_t first = kKeys; first < op.keys; first += kKeys, buffer ^= 1) {
    land();
    if (first + kKeys < op.keys) copy_keys(first + kKeys, buffer ^ 1);
    copy_values(first, buffer);
    commit_copies();
    float scores[kKeys / 8][4];
    fence_wgmma();
    start_scores<T, D>(scores, queries, keys + buffer * Tile::kTile / 16);
    start_values<T, D>(state.out, p, values + (buffer ^ 1) * Tile::kTile / 16);
    wait_wgmma<1>();
    hold(scores);
    softmax_tile<kKeys>(scores, op.keys - first, op.scale_log2, state.most, state.sum, shrink);
    hold(scores);  // or the compiler would put off the exponentials until the values have come
    wait_wgmma<0>();
    hold(state.out);
    hold(p);
    shrink_output(state.out, shrink);
    pack_tile<T, kKeys>(p, scores);
  }

  // The last tile's values.
  land();
  fence_wgmma();
  start_values<T, D>(state.out, p, values + (buffer ^ 1) * Tile::kTile / 16);
  wait_wgmma<0>();
  hold(state.out);
  store_rows<T, D>(state, y, op.y_stride, row, op.queries);
}

template <class T, int D>
void launch_wgmma(const FlashOperands& operands, const AttentionOp& op, const Context& context) {
  const dim3 grid(blocks_of(operands.queries, Tiles<D>::kQueries), static_cast<unsigned>(op.heads),
                  static_cast<unsigned>(op.q.shape()[0]));
  launch(context, wgmma_attention_kernel<T, D>, grid, Tiles<D>::kThreads, Tiles<D>::kShared,
         operands);
}

}  // namespace

bool run_wgmma_attention(const AttentionOp& op, const Context& context) {
  // The maximum of scaled scores is taken before scaling.
  if (!context.warpgroups || !suits_flash(op) || op.causal || op.upcast || !(op.scale > 0)) {
    return false;
  }
  const FlashOperands operands = flash_operands(op);
  if (operands.keys < 1) return false;
  return with_half(op.q.dtype(), [&]<class T>(T*) {
    switch (op.q.shape().back() / op.heads) {
      case 40:
        launch_wgmma<T, 40>(operands, op, context);
        return true;
      case 64:
        launch_wgmma<T, 64>(operands, op, context);
        return true;
      case 80:
        launch_wgmma<T, 80>(operands, op, context);
        return true;
      case 160:
        launch_wgmma<T, 160>(operands, op, context);
        return true;
      default:
        return false;
    }
  });
}

}  // namespace diffuse::cuda
