#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/op_kernels.hpp"

namespace diffuse::cuda {
namespace {

constexpr int kThreads = 256;

template <class From, class To>
__global__ void convert_weight_kernel(const From* from, To* to, std::int64_t first,
                                      std::int64_t count, std::int64_t in, std::int64_t kernel,
                                      unsigned long long* first_bad) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const float value = to_float(from[i]);
  // [o][c][tap] -> [o][tap][c]
  const std::int64_t at = first + i;
  const std::int64_t tap = at % kernel, c = at / kernel % in, o = at / (kernel * in);
  to[(o * kernel + tap) * in + c] = from_float<To>(value);
  if (!(fabsf(value) <= 3.402823466e38F)) {
    atomicMin(first_bad, static_cast<unsigned long long>(at));
  }
}

}  // namespace

#ifdef __CUDACC__
bool kernels_run_here() {
  cudaFuncAttributes found{};
  const auto* kernel = reinterpret_cast<const void*>(&convert_weight_kernel<float, float>);
  if (cudaFuncGetAttributes(&found, kernel) == cudaSuccess) return true;
  static_cast<void>(cudaGetLastError());
  return false;
}
#endif

void convert_weight(const StoredChunk& chunk, const Context& context) {
  with_element(chunk.from_dtype, [&]<class From>(From*) {
    with_element(chunk.to_dtype, [&]<class To>(To*) {
      launch(context, convert_weight_kernel<From, To>, blocks_of(chunk.count, kThreads), kThreads,
             0, static_cast<const From*>(chunk.from), static_cast<To*>(chunk.to), chunk.first,
             chunk.count, chunk.in, chunk.kernel, chunk.first_bad);
    });
  });
}

}  // namespace diffuse::cuda
