#pragma once

#include "kernels/cuda/launch.hpp"

// The tensor-core instructions and asynchronous copies that kernels use, each with a host twin of
// the same fragment layout (PTX ISA, "mma.m16n8k16", "ldmatrix", "cp.async"). Lane l holds
//   of A [16, 16]  rows l/4 and l/4 + 8 (registers 0, 2 and 1, 3), columns 2(l%4) + {0, 1} (+ 8)
//   of B [16, 8]   rows 2(l%4) + {0, 1} (+ 8 in register 1), column l/4
//   of D [16, 8]   rows l/4 (values 0, 1) and l/4 + 8 (values 2, 3), columns 2(l%4) + {0, 1}
namespace diffuse::cuda {

#ifdef __CUDACC__
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define DIFFUSE_TENSOR_CORES 1
#endif

/// d += a b, products of halves, sums in f32.
template <class T>
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const unsigned (&a)[4],
                                             const unsigned (&b)[2]) {
#if defined(__CUDA_ARCH__) && defined(DIFFUSE_TENSOR_CORES)
  if constexpr (sizeof(T) == 2 && __is_same(T, __half)) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
        "{%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
        "{%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#endif
}

/// Two (four) 8x8 matrices of halves from shared memory: lane l gives the address of row l % 8 of
/// matrix l / 8; it receives elements [l/4][2(l%4) + {0, 1}] of each, transposed if asked.
template <bool transposed>
__device__ __forceinline__ void load_matrices(unsigned (&r)[2], const void* row) {
#if defined(__CUDA_ARCH__) && defined(DIFFUSE_TENSOR_CORES)
  const auto at = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1},[%2];\n"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(at));
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1},[%2];\n"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(at));
  }
#endif
}
__device__ __forceinline__ void load_matrices(unsigned (&r)[4], const void* row) {
#if defined(__CUDA_ARCH__) && defined(DIFFUSE_TENSOR_CORES)
  const auto at = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at));
#endif
}

/// Starts a copy of 16 bytes to shared memory; zeros where `inside` is false. Visible after
/// `wait_copies` and a barrier.
__device__ __forceinline__ void copy_async(void* to_shared, const void* from, bool inside) {
#if defined(__CUDA_ARCH__) && defined(DIFFUSE_TENSOR_CORES)
  const auto at = static_cast<unsigned>(__cvta_generic_to_shared(to_shared));
  asm volatile("cp.async.cg.shared.global [%0],[%1],16,%2;\n" ::"r"(at), "l"(from),
               "r"(inside ? 16 : 0)
               : "memory");
#endif
}
/// Ends a group of copies.
__device__ __forceinline__ void commit_copies() {
#if defined(__CUDA_ARCH__) && defined(DIFFUSE_TENSOR_CORES)
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}
/// Waits until at most `pending` of this thread's groups are under way.
template <int pending>
__device__ __forceinline__ void wait_copies() {
#if defined(__CUDA_ARCH__) && defined(DIFFUSE_TENSOR_CORES)
  asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
#endif
}
#else
template <class T>
void mma_m16n8k16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  host_cuda::mma_m16n8k16<T>(d, a, b);
}
template <bool transposed>
void load_matrices(unsigned (&r)[2], const void* row) {
  host_cuda::load_matrices<2>(r, row, transposed);
}
inline void load_matrices(unsigned (&r)[4], const void* row) {
  host_cuda::load_matrices<4>(r, row, false);
}
inline void copy_async(void* to, const void* from, bool inside) {
  host_cuda::copy_async(to, from, inside);
}
inline void commit_copies() { host_cuda::commit_copies(); }
template <int pending>
void wait_copies() {
  host_cuda::wait_copies(pending);
}
#endif

/// Two neighbouring halves as one register, the first in the low bits.
template <class T>
__device__ __forceinline__ unsigned pack(float low, float high) {
  struct alignas(4) Pair {
    T a, b;
  } pair{from_float<T>(low), from_float<T>(high)};
  unsigned bits;
  memcpy(&bits, &pair, sizeof(bits));
  return bits;
}

}  // namespace diffuse::cuda
