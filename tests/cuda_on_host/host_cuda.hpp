#pragma once

// Runs CUDA kernels on the host, for tests on machines without a GPU. Included before a kernel
// source, which must launch through kernels/cuda/launch.hpp.
//
// A block's threads are fibers on one operating-system thread. They run until a barrier, a warp
// exchange or the end; the schedule chooses their order, so a kernel that lacks a barrier gives
// another result under another schedule. Shared memory starts as NaN. A barrier that not every
// thread reaches is an error, as is a warp exchange among lanes that diverged. An asynchronous copy
// leaves NaN at its target until it is waited for.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "tests/cuda_on_host/host_wgmma.hpp"

#undef __shared__
#undef __launch_bounds__
#undef __forceinline__
#define __launch_bounds__(...)
#define __forceinline__ inline
#define __syncthreads() host_cuda::block_barrier()
#define DYNAMIC_SHARED(T, name) \
  T* name = reinterpret_cast<T*>(host_cuda::state().dynamic_shared.data())

namespace host_cuda {

enum class Schedule { forward, reverse, shuffled };

/// A copy of 16 bytes under way; `from` null for zeros.
struct PendingCopy {
  void* to;
  const void* from;
};

struct Fiber {
  ucontext_t context{};
  std::vector<char> stack = std::vector<char>(std::size_t{64} * 1024);
  uint3 thread{};
  unsigned linear = 0;
  bool done = false, at_barrier = false, at_exchange = false;
  std::vector<std::vector<PendingCopy>> groups;  ///< committed; the last one still open
  Wgmma wgmma;
};

/// Values deposited by the lanes of one exchange; two of them: a fast lane may start the next.
struct Warp {
  std::uint64_t slot[2][32][4] = {};
  int phase = 0;
};

struct alignas(16) Aligned {
  unsigned char bytes[16];
};

struct State {
  dim3 grid_dim, block_dim;
  uint3 block{};
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Warp> warps;
  std::vector<Aligned> dynamic_shared;
  Fiber* current = nullptr;
  ucontext_t scheduler{};
  std::function<void()> body;
  Schedule schedule = Schedule::forward;
  std::mt19937 random{1};
  WgmmaView wgmma_view;
  std::exception_ptr error;             ///< of the thread that ran last
  long blocks = 0, mma = 0, wgmma = 0;  ///< counted for the report
};
State& state();

/// Runs the block whose index is set.
void run_block();
void block_barrier();
/// Gives the processor to the scheduler until the warp's exchange is complete.
const std::uint64_t (*exchange_words(const std::uint64_t* words, std::size_t count))[4];

inline unsigned lane() { return state().current->linear % 32; }

/// Every live lane of the warp deposits up to 4 words; returns all lanes' words.
template <class... Words>
const std::uint64_t (*exchange(Words... words))[4] {
  const std::uint64_t values[] = {static_cast<std::uint64_t>(words)...};
  return exchange_words(values, sizeof...(words));
}

template <class T>
std::uint64_t to_word(T v) {
  std::uint64_t w = 0;
  std::memcpy(&w, &v, sizeof v);
  return w;
}
template <class T>
T from_word(std::uint64_t w) {
  T v;
  std::memcpy(static_cast<void*>(&v), &w, sizeof v);
  return v;
}

template <class... P>
void run(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, P... args) {
  if (shared_bytes > 48 * 1024) throw std::runtime_error("more shared memory than every GPU has");
  if (block.x * block.y * block.z > 1024) throw std::runtime_error("a block of over 1024 threads");
  if (grid.y > 65535 || grid.z > 65535) throw std::runtime_error("a grid too large");
  auto& s = state();
  s.grid_dim = grid;
  s.block_dim = block;
  // Exactly what was asked for, so that a sanitizer sees what lies beyond.
  s.dynamic_shared = std::vector<Aligned>((shared_bytes + 15) / 16);
  s.body = [=] { kernel(args...); };
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        s.block = {x, y, z};
        run_block();
      }
    }
  }
}

// Twins of the instructions of kernels/cuda/mma_tile.cuh.

template <class T>
float half_at(std::uint64_t word, int index) {
  const auto bits = static_cast<std::uint16_t>(word >> (16 * index));
  T value;
  std::memcpy(static_cast<void*>(&value), &bits, 2);
  return static_cast<float>(value);
}

template <class T>
void mma_m16n8k16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  const auto pair = [](unsigned low, unsigned high) {
    return low | static_cast<std::uint64_t>(high) << 32;
  };
  const auto* all = exchange(pair(a[0], a[1]), pair(a[2], a[3]), pair(b[0], b[1]));
  const int l = static_cast<int>(lane());
  if (l == 0) ++state().mma;
  for (int i = 0; i < 4; ++i) {
    const int row = l / 4 + 8 * (i / 2), col = 2 * (l % 4) + i % 2;
    float sum = 0;
    for (int k = 0; k < 16; ++k) {
      const auto* from_a = all[4 * (row % 8) + k % 8 / 2];
      const auto* from_b = all[4 * col + k % 8 / 2];
      sum += half_at<T>(from_a[k / 8] >> (32 * (row / 8)), k % 2) *
             half_at<T>(from_b[2] >> (32 * (k / 8)), k % 2);
    }
    d[i] += sum;
  }
}

template <int count>
void load_matrices(unsigned (&r)[count], const void* row, bool transposed) {
  // A lane reads its row when it arrives, so that what other threads have yet to write is missing.
  std::uint64_t words[2] = {};
  if (lane() < 8 * count) {
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) {
      throw std::runtime_error("ldmatrix: misaligned row");
    }
    std::memcpy(words, row, sizeof(words));
  }
  const auto* all = exchange(words[0], words[1]);
  const unsigned l = lane();
  for (unsigned m = 0; m < count; ++m) {
    r[m] = 0;
    for (unsigned i = 0; i < 2; ++i) {
      const unsigned from_row = transposed ? 2 * (l % 4) + i : l / 4;
      const unsigned from_column = transposed ? l / 4 : 2 * (l % 4) + i;
      const std::uint64_t word = all[8 * m + from_row][from_column / 4];
      r[m] |= static_cast<unsigned>(word >> (16 * (from_column % 4)) & 0xFFFFU) << (16 * i);
    }
  }
}

template <class T>
void start_wgmma(float* accumulators, int columns, const unsigned (&a)[4], std::uint64_t b,
                 bool transposed, bool accumulate) {
  start_wgmma(accumulators, columns, a, b, transposed, accumulate,
              [](std::uint16_t bits) { return half_at<T>(bits, 0); });
}

void copy_async(void* to, const void* from, bool inside);
void commit_copies();
void wait_copies(int pending);

}  // namespace host_cuda

#define threadIdx (host_cuda::state().current->thread)
#define blockIdx (host_cuda::state().block)
#define blockDim (host_cuda::state().block_dim)
#define gridDim (host_cuda::state().grid_dim)

template <class T>
T __shfl_xor_sync(unsigned, T v, int mask) {
  const auto* all = host_cuda::exchange(host_cuda::to_word(v));
  return host_cuda::from_word<T>(all[host_cuda::lane() ^ static_cast<unsigned>(mask)][0]);
}
template <class T>
T atomicAdd(T* p, T v) {
  const T old = *p;
  *p += v;
  return old;
}
template <class T>
T atomicMin(T* p, T v) {
  const T old = *p;
  *p = std::min(old, v);
  return old;
}
inline long long __double_as_longlong(double x) { return __builtin_bit_cast(long long, x); }
inline double __longlong_as_double(long long x) { return __builtin_bit_cast(double, x); }
using std::max;
using std::memcpy;
using std::min;
