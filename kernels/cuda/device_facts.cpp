#include <nvtx3/nvToolsExt.h>

#include "kernels/cuda/cuda_backend.hpp"

namespace diffuse::cuda {
namespace {

// Floating-point operations of one multiprocessor in one clock: dense tensor cores on f16 and bf16
// with sums in f32, and plain f32 multiply-adds. Source: NVIDIA's architecture white papers (T4,
// A100, GA102, L40S, H100, B200). Cards for games of 8.6, 8.9 and 12.0 do half of the first.
struct PerClock {
  int major, minor;
  double tensor, f32;
};
constexpr PerClock kPerClock[] = {
    {7, 5, 1024, 128}, {8, 0, 2048, 128}, {8, 6, 1024, 256},  {8, 7, 1024, 256},
    {8, 9, 1024, 256}, {9, 0, 4096, 256}, {10, 0, 8192, 256}, {12, 0, 1024, 256},
};

int attribute(cudaDeviceAttr name, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, name, device), "asking for its properties");
  return value;
}

}  // namespace

DeviceLimits CudaBackend::limits(DType dtype) const {
  const int device = stream_->device();
  DeviceLimits limits;
  for (const PerClock& known : kPerClock) {
    if (known.major != properties_.major || known.minor > properties_.minor) continue;
    limits.flops_per_second = (dtype == DType::f32 ? known.f32 : known.tensor) *
                              properties_.multiProcessorCount * 1e3 *
                              attribute(cudaDevAttrClockRate, device);
  }
  // Two transfers a clock on every line of the bus.
  limits.bytes_per_second = 2e3 * attribute(cudaDevAttrMemoryClockRate, device) *
                            attribute(cudaDevAttrGlobalMemoryBusWidth, device) / 8;
  return limits;
}

std::string CudaBackend::device_id() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string id = "GPU-";
  for (const char byte : properties_.uuid.bytes) {
    id += kDigits[static_cast<unsigned char>(byte) >> 4U];
    id += kDigits[static_cast<unsigned char>(byte) & 15U];
  }
  return id;
}

// Of the toolkit's headers alone; a few nanoseconds where no profiler listens.
void CudaBackend::begin_range(const std::string& name) {
  static_cast<void>(nvtxRangePushA(name.c_str()));
}

void CudaBackend::end_range() { static_cast<void>(nvtxRangePop()); }

}  // namespace diffuse::cuda
