#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/tensor/backend.hpp"

namespace diffuse {

struct BackendOptions {
  int threads = 0;        ///< CPU: threads of one backend; 0 = OpenMP's own choice
  std::string force_isa;  ///< CPU: "sse", "avx2", "avx512", "avx512_bf16", "amx_bf16"; empty = the
                          ///< best, or the environment's DIFFUSE_BATCH_ISA
  bool lean = false;      ///< CPU: less memory rather than speed; changes rounding
  int device_index = 0;   ///< CUDA: which GPU of this node
  bool fast = false;      ///< CUDA: kernels of libraries are chosen by the clock, for each batch
};

/// The backend for "cpu" or "cuda". Throws ConfigError for any other name or an instruction set
/// that is not there, DeviceError(no_device) where there is no usable GPU or no CUDA module.
std::unique_ptr<Backend> make_backend(std::string_view device, const BackendOptions& options);

/// Can make_backend("cuda") be expected to work? If not, `*why` says what is missing.
bool cuda_available(std::string* why);

}  // namespace diffuse
