#pragma once

// How the kernels of this folder are launched and what they share. Compiled by nvcc for the GPU
// and, with tests/cuda_on_host/host_cuda.hpp included first, by the host compiler for the tests.

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define DYNAMIC_SHARED(T, name)                                  \
  extern __shared__ __align__(16) unsigned char shared_bytes_[]; \
  T* name = reinterpret_cast<T*>(shared_bytes_)
#endif

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/dtype.hpp"
#include "core/base/error.hpp"
#include "kernels/cuda/context.hpp"

namespace diffuse::cuda {

#ifdef __CUDACC__
template <class... P, class... A>
void launch(const Context& context, void (*kernel)(P...), dim3 grid, dim3 block,
            std::size_t shared_bytes, A... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  kernel<<<grid, block, shared_bytes, static_cast<cudaStream_t>(context.stream)>>>(P(args)...);
  if (const cudaError_t status = cudaGetLastError(); status != cudaSuccess) {
    throw DeviceError(std::string("a CUDA kernel could not be started: ") +
                          cudaGetErrorString(status) + "; the same command continues the run",
                      ExitCode::device_lost);
  }
}
#else
template <class... P, class... A>
void launch(const Context&, void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes,
            A... args) {
  host_cuda::run(kernel, grid, block, shared_bytes, P(args)...);
}
#endif

/// Blocks of `size` that cover `count`.
inline unsigned blocks_of(std::int64_t count, std::int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

/// Calls `body` with a null pointer of the element type of a float dtype.
template <class Body>
void with_element(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::f32:
      return body(static_cast<float*>(nullptr));
    case DType::f16:
      return body(static_cast<__half*>(nullptr));
    case DType::bf16:
      return body(static_cast<__nv_bfloat16*>(nullptr));
    default:
      throw DeviceError(std::string(name_of(dtype)) + " tensors have no arithmetic on the GPU",
                        ExitCode::bug);
  }
}

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(__half x) { return __half2float(x); }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <class T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ __half from_float<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

/// V neighbouring elements, moved by one instruction.
template <class T, int V>
struct alignas(sizeof(T) * V) Vec {
  T at[V];
};

/// Can `count` elements from this address on be moved V at a time?
template <class T, int V>
bool can_move(const void* address, std::int64_t count) {
  return count % V == 0 && reinterpret_cast<std::uintptr_t>(address) % (sizeof(T) * V) == 0;
}

/// Elements in 16 bytes.
template <class T>
inline constexpr int kVector = 16 / static_cast<int>(sizeof(T));

/// Sum over the 32 lanes of a warp, the same bits in every lane.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(0xFFFFFFFFU, value, mask);
  return value;
}

}  // namespace diffuse::cuda
