#pragma once

#include "kernels/cuda/mma_tile.cuh"

// Hopper's product of a warpgroup (four warps, the first a multiple of four), each instruction with
// a host twin. PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate": register
// fragments of wgmma.mma_async.m64nNk16, "Shared Memory Matrix Layout", "Strides", "Matrix
// Descriptor Format". Warp w of the group has rows [16 w, 16 w + 16) of A and D; of these its lanes
// hold what they hold of mma.m16n8k16's A and, for each 8 columns, of its D.
//
// B lies in shared memory as regions of 16 columns of its stored rows: row r of a region takes the
// 32 bytes at 32 r, and where r has bit 2 its two chunks of 16 bytes change places (the 32-byte
// swizzle: bit 4 of the address ^= bit 7, so regions begin on 256 bytes). A stored row is a column
// of B (keys: "K-major") or, transposed, a row of it (values: "MN-major").
namespace diffuse::cuda {

inline constexpr unsigned kRegionRow = 32;     ///< bytes
inline constexpr unsigned kRegionGroup = 256;  ///< eight rows, after which the swizzle repeats

/// Where chunk `half` (0 or 1) of a region's row lies, in bytes.
__device__ __forceinline__ unsigned region_offset(unsigned row, unsigned half) {
  return kRegionRow * row + 16 * (half ^ (row / 4 % 2));
}

/// The descriptor of B at a shared address, `region` bytes from one region to the next: the leading
/// offset, which K-major forms do not use, for one product reads one region of them. The stride
/// offset is that of eight stored rows. Bytes / 16 added to it move the address.
__device__ __forceinline__ std::uint64_t region_descriptor(unsigned address, unsigned region) {
  constexpr std::uint64_t kSwizzle32 = 3;
  const auto encode = [](unsigned bytes) -> std::uint64_t { return (bytes & 0x3FFFFU) >> 4; };
  return encode(address) | encode(region) << 16 | encode(kRegionGroup) << 32 | kSwizzle32 << 62;
}

#ifdef __CUDACC__
__device__ __forceinline__ unsigned shared_address(const void* at) {
  return static_cast<unsigned>(__cvta_generic_to_shared(at));
}

#ifdef __CUDA_ARCH__
// Four accumulators of a lane: eight columns of D.
#define DIFFUSE_D1(n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])
#define DIFFUSE_D2(n) DIFFUSE_D1(n), DIFFUSE_D1((n) + 1)
#define DIFFUSE_D4(n) DIFFUSE_D2(n), DIFFUSE_D2((n) + 2)
#define DIFFUSE_R16 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define DIFFUSE_R24 DIFFUSE_R16 ",%16,%17,%18,%19,%20,%21,%22,%23"
#define DIFFUSE_R32 DIFFUSE_R24 ",%24,%25,%26,%27,%28,%29,%30,%31"
#define DIFFUSE_R40 DIFFUSE_R32 ",%32,%33,%34,%35,%36,%37,%38,%39"
// `rest`: the operands behind the accumulators, which are {A}, B, p, scale of A and B, transposed.
#define DIFFUSE_WGMMA(columns, types, registers, accumulates, rest, ...)                        \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p," accumulates                                   \
               ",0;\nwgmma.mma_async.sync.aligned.m64n" columns "k16.f32." types " {" registers \
               "}," rest ";\n}\n"                                                               \
               : __VA_ARGS__                                                                    \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate ? 1 : 0),   \
                 "n"(transposed ? 1 : 0))
#define DIFFUSE_WGMMA_ANY(types)                                                      \
  if constexpr (N == 32) {                                                            \
    DIFFUSE_WGMMA("32", types, DIFFUSE_R16, "%21", "{%16,%17,%18,%19},%20,p,1,1,%22", \
                  DIFFUSE_D4(0));                                                     \
  } else if constexpr (N == 48) {                                                     \
    DIFFUSE_WGMMA("48", types, DIFFUSE_R24, "%29", "{%24,%25,%26,%27},%28,p,1,1,%30", \
                  DIFFUSE_D4(0), DIFFUSE_D2(4));                                      \
  } else if constexpr (N == 64) {                                                     \
    DIFFUSE_WGMMA("64", types, DIFFUSE_R32, "%37", "{%32,%33,%34,%35},%36,p,1,1,%38", \
                  DIFFUSE_D4(0), DIFFUSE_D4(4));                                      \
  } else {                                                                            \
    static_assert(N == 80);                                                           \
    DIFFUSE_WGMMA("80", types, DIFFUSE_R40, "%45", "{%40,%41,%42,%43},%44,p,1,1,%46", \
                  DIFFUSE_D4(0), DIFFUSE_D4(4), DIFFUSE_D2(8));                       \
  }
#endif

/// Starts d = a b + (accumulate ? d : 0) for b of 16 rows and N columns, products of halves, sums
/// in f32; `d` are the lane's accumulators from those on. Neither d nor a nor what b points to may
/// be touched before it has been waited for.
template <class T, int N, bool transposed, int blocks>
__device__ __forceinline__ void start_wgmma(float (&all)[blocks][4], int first,
                                            const unsigned (&a)[4], std::uint64_t b,
                                            bool accumulate) {
#ifdef __CUDA_ARCH__
  float(*d)[4] = all + first;
  if constexpr (__is_same(T, __half)) {
    DIFFUSE_WGMMA_ANY("f16.f16")
  } else {
    DIFFUSE_WGMMA_ANY("bf16.bf16")
  }
#endif
}

/// Before the first product after registers were touched.
__device__ __forceinline__ void fence_wgmma() {
#ifdef __CUDA_ARCH__
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
#endif
}
/// Ends a group of products.
__device__ __forceinline__ void commit_wgmma() {
#ifdef __CUDA_ARCH__
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
#endif
}
/// Waits until at most `pending` groups are under way. Registers that were are then passed to
/// hold(), or the compiler might read them earlier.
template <int pending>
__device__ __forceinline__ void wait_wgmma() {
#ifdef __CUDA_ARCH__
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(pending) : "memory");
#endif
}
template <int blocks>
__device__ __forceinline__ void hold(float (&d)[blocks][4]) {
#ifdef __CUDA_ARCH__
#pragma unroll
  for (int n = 0; n < blocks; ++n) asm volatile("" : DIFFUSE_D1(n)::"memory");
#endif
}
template <int steps>
__device__ __forceinline__ void hold(unsigned (&a)[steps][4]) {
#ifdef __CUDA_ARCH__
#pragma unroll
  for (int s = 0; s < steps; ++s) {
    asm volatile("" : "+r"(a[s][0]), "+r"(a[s][1]), "+r"(a[s][2]), "+r"(a[s][3])::"memory");
  }
#endif
}

/// Lets wgmma see what this thread has written to shared memory: after wait_copies, before the
/// barrier.
__device__ __forceinline__ void fence_shared() {
#ifdef __CUDA_ARCH__
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#endif
}

/// 2^x to about 2^-22 of it; below 2^-126 it is 0.
__device__ __forceinline__ float fast_exp2(float x) {
  float y = 0;
#ifdef __CUDA_ARCH__
  asm("ex2.approx.ftz.f32 %0,%1;\n" : "=f"(y) : "f"(x));
#endif
  return y;
}
#else
inline unsigned shared_address(const void* at) { return host_cuda::shared_address(at); }
template <class T, int N, bool transposed, int blocks>
void start_wgmma(float (&all)[blocks][4], int first, const unsigned (&a)[4], std::uint64_t b,
                 bool accumulate) {
  host_cuda::start_wgmma<T>(&all[first][0], N, a, b, transposed, accumulate);
}
inline void fence_wgmma() { host_cuda::fence_wgmma(); }
inline void commit_wgmma() { host_cuda::commit_wgmma(); }
template <int pending>
void wait_wgmma() {
  host_cuda::wait_wgmma(pending);
}
template <int blocks>
void hold(float (&)[blocks][4]) {}
template <int steps>
void hold(unsigned (&)[steps][4]) {}
inline void fence_shared() { host_cuda::fence_shared(); }
inline float fast_exp2(float x) { return exp2f(x); }
#endif

}  // namespace diffuse::cuda
