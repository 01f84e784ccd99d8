#pragma once

#include <cudnn.h>

#include <memory>
#include <string>

#include "kernels/cuda/device.hpp"

namespace diffuse::cuda {

/// cuDNN on a stream.
class CudnnHandle {
 public:
  explicit CudnnHandle(DeviceStream& stream);
  [[nodiscard]] cudnnHandle_t get() const { return handle_.get(); }
  /// "9.19.0".
  static std::string version();

 private:
  struct Deleter {
    void operator()(cudnnHandle_t handle) const;
  };
  std::unique_ptr<cudnnContext, Deleter> handle_;
};

}  // namespace diffuse::cuda
