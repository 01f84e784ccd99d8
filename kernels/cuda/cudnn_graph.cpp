// The handle attributes are marked deprecated from cuDNN 9.8 on; all of 9.x take them.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include "kernels/cuda/cudnn_graph.hpp"

#include "core/base/error.hpp"

namespace diffuse::cuda {
namespace {

constexpr std::int64_t kAlignment = 16;

}  // namespace

CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t descriptor = nullptr;
  if (cudnnBackendCreateDescriptor(type, &descriptor) != CUDNN_STATUS_SUCCESS) {
    throw DeviceError("cuDNN could not make a descriptor; is another cuDNN than 9 installed?");
  }
  descriptor_ = std::shared_ptr<void>(
      descriptor, [](void* d) { static_cast<void>(cudnnBackendDestroyDescriptor(d)); });
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                          const void* values, std::int64_t count) {
  const cudnnStatus_t status = cudnnBackendSetAttribute(get(), name, type, count, values);
  if (status != CUDNN_STATUS_SUCCESS) {
    throw DeviceError("cuDNN refused attribute " + std::to_string(static_cast<int>(name)) + ": " +
                          cudnnGetErrorString(status),
                      ExitCode::bug);
  }
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, const CudnnDescriptor& part) {
  const cudnnBackendDescriptor_t raw = part.get();
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, &raw);
}

void CudnnDescriptor::set_int64(cudnnBackendAttributeName_t name, std::int64_t value) {
  set(name, CUDNN_TYPE_INT64, &value);
}

void CudnnDescriptor::set_int64s(cudnnBackendAttributeName_t name,
                                 const std::vector<std::int64_t>& values) {
  set(name, CUDNN_TYPE_INT64, values.data(), static_cast<std::int64_t>(values.size()));
}

bool CudnnDescriptor::finalize() { return cudnnBackendFinalize(get()) == CUDNN_STATUS_SUCCESS; }

CudnnTarget target_from_json(const std::string& json) {
  CudnnTarget target{nullptr, CudnnDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)};
  target.properties.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, json.data(),
                        static_cast<std::int64_t>(json.size()));
  require_cudnn(target.properties.finalize(), "the description of a GPU");
  return target;
}

cudnnDataType_t cudnn_type_of(DType dtype) {
  if (dtype == DType::f16) return CUDNN_DATA_HALF;
  return dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

void require_cudnn(bool good, const char* what) {
  if (!good) throw DeviceError(std::string("cuDNN refused ") + what, ExitCode::bug);
}

CudnnDescriptor cudnn_tensor(std::int64_t uid, const std::vector<std::int64_t>& dims,
                             const std::vector<std::int64_t>& strides, cudnnDataType_t type,
                             bool is_virtual) {
  CudnnDescriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, &type);
  tensor.set_int64s(CUDNN_ATTR_TENSOR_DIMENSIONS, dims);
  tensor.set_int64s(CUDNN_ATTR_TENSOR_STRIDES, strides);
  tensor.set_int64(CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
  tensor.set_int64(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kAlignment);
  tensor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, &is_virtual);
  require_cudnn(tensor.finalize(), "a tensor");
  return tensor;
}

CudnnDescriptor cudnn_host_number(std::int64_t uid) {
  CudnnDescriptor number(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  const bool by_value = true;
  number.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, &type);
  number.set_int64s(CUDNN_ATTR_TENSOR_DIMENSIONS, {1, 1, 1, 1});
  number.set_int64s(CUDNN_ATTR_TENSOR_STRIDES, {1, 1, 1, 1});
  number.set_int64(CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
  number.set_int64(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kAlignment);
  number.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, &by_value);
  require_cudnn(number.finalize(), "a number");
  return number;
}

CudnnDescriptor cudnn_operation_graph(const std::vector<CudnnDescriptor>& ops,
                                      const CudnnTarget& target) {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const CudnnDescriptor& op : ops) raw.push_back(op.get());
  CudnnDescriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, raw.data(),
            static_cast<std::int64_t>(raw.size()));
  if (target.handle != nullptr) {
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, &target.handle);
  }
  return graph.finalize() ? graph : CudnnDescriptor();
}

bool execute_cudnn(const CudnnTarget& target, const CudnnDescriptor& plan, CudnnBinding binding,
                   void* workspace) {
  CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set_int64s(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, binding.uids);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, binding.pointers.data(),
           static_cast<std::int64_t>(binding.pointers.size()));
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, &workspace);
  return pack.finalize() &&
         cudnnBackendExecute(target.handle, plan.get(), pack.get()) == CUDNN_STATUS_SUCCESS;
}

}  // namespace diffuse::cuda
