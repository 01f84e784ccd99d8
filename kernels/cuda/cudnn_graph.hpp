#pragma once

#include <cudnn.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/dtype.hpp"

namespace diffuse::cuda {

/// One descriptor of cuDNN's backend API; copies share it.
class CudnnDescriptor {
 public:
  CudnnDescriptor() = default;
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type);

  [[nodiscard]] cudnnBackendDescriptor_t get() const { return descriptor_.get(); }
  /// Sets an attribute. Throws DeviceError.
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const void* values,
           std::int64_t count = 1);
  void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& part);
  void set_int64(cudnnBackendAttributeName_t name, std::int64_t value);
  void set_int64s(cudnnBackendAttributeName_t name, const std::vector<std::int64_t>& values);
  /// False where cuDNN does not support what the descriptor describes.
  [[nodiscard]] bool finalize();

 private:
  std::shared_ptr<void> descriptor_;
};

/// Which GPU a graph is for: the one of a handle, or one described in cuDNN's JSON, so that graphs
/// can be checked on machines without a GPU.
struct CudnnTarget {
  cudnnHandle_t handle = nullptr;
  CudnnDescriptor properties{};
};
CudnnTarget target_from_json(const std::string& json);

cudnnDataType_t cudnn_type_of(DType dtype);

/// Throws DeviceError(bug) "cuDNN refused <what>" unless `good`.
void require_cudnn(bool good, const char* what);

/// A tensor of a graph; strides in elements, addresses multiples of 16.
CudnnDescriptor cudnn_tensor(std::int64_t uid, const std::vector<std::int64_t>& dims,
                             const std::vector<std::int64_t>& strides, cudnnDataType_t type,
                             bool is_virtual = false);

/// One f32 that is read from the host when a plan is run.
CudnnDescriptor cudnn_host_number(std::int64_t uid);

/// Operations joined by their tensors; an empty descriptor where cuDNN does not support them.
CudnnDescriptor cudnn_operation_graph(const std::vector<CudnnDescriptor>& ops,
                                      const CudnnTarget& target);

/// Pointers for the uids of a plan's tensors.
struct CudnnBinding {
  std::vector<std::int64_t> uids;
  std::vector<void*> pointers;
};

/// Runs a plan in its handle's stream; false where cuDNN reports a failure.
bool execute_cudnn(const CudnnTarget& target, const CudnnDescriptor& plan, CudnnBinding binding,
                   void* workspace);

}  // namespace diffuse::cuda
