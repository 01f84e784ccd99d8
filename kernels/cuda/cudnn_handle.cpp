#include "kernels/cuda/cudnn_handle.hpp"

#include "core/base/error.hpp"

namespace diffuse::cuda {
namespace {

void require_start(cudnnStatus_t status) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw DeviceError(std::string("cuDNN failed while starting: ") + cudnnGetErrorString(status) +
                        "; the same command continues the run",
                    ExitCode::device_lost);
}

}  // namespace

void CudnnHandle::Deleter::operator()(cudnnHandle_t handle) const {
  static_cast<void>(cudnnDestroy(handle));
}

CudnnHandle::CudnnHandle(DeviceStream& stream) {
  cudnnHandle_t handle = nullptr;
  require_start(cudnnCreate(&handle));
  handle_.reset(handle);
  require_start(cudnnSetStream(handle, stream.get()));
}

std::string CudnnHandle::version() {
  const std::size_t v = cudnnGetVersion();
  return std::to_string(v / 10000) + "." + std::to_string(v % 10000 / 100) + "." +
         std::to_string(v % 100);
}

}  // namespace diffuse::cuda
