#include "core/base/error.hpp"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/cuda_module.hpp"

// The one symbol that the program looks for in this shared module.
extern "C" __attribute__((visibility("default"))) diffuse::Backend* diffuse_cuda_module(
    int abi, const diffuse::BackendOptions* options, const char** problem) {
  static std::string message;
  *problem = nullptr;
  try {
    if (abi != kDiffuseCudaAbi) {
      message = "the CUDA module belongs to another build of the program; install both together";
    } else if (options != nullptr) {
      return new diffuse::cuda::CudaBackend(options->device_index, options->fast
                                                                       ? diffuse::PlanRule::fast
                                                                       : diffuse::PlanRule::strict);
    } else {
      message = diffuse::cuda::problem_of_device(0);
    }
  } catch (const std::exception& error) {
    message = error.what();
  }
  if (!message.empty()) *problem = message.c_str();
  return nullptr;
}
