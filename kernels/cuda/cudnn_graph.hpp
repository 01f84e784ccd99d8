#pragma once

#include <cudnn.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
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

/// A convolution, cross-correlation of NHWC pictures with [K, kh, kw, C] weights, plus bias [K].
struct ConvolutionShape {
  std::int64_t batch = 0, height = 0, width = 0, channels = 0, out_channels = 0;
  std::int64_t kernel_height = 0, kernel_width = 0, stride = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  DType dtype = DType::f16;
  bool bias = false;  ///< of the same dtype

  [[nodiscard]] ConvolutionShape with_batch(std::int64_t other) const;
  friend auto operator<=>(const ConvolutionShape&, const ConvolutionShape&) = default;
};

/// Which GPU a graph is for: the one of a handle, or one described in cuDNN's JSON, so that graphs
/// can be checked on machines without a GPU.
struct CudnnTarget {
  cudnnHandle_t handle = nullptr;
  CudnnDescriptor properties{};
};
CudnnTarget target_from_json(const std::string& json);

/// A kernel of cuDNN and how it is set: number of the engine, knobs by type.
struct EngineChoice {
  std::int64_t engine = 0;
  std::vector<std::pair<cudnnBackendKnobType_t, std::int64_t>> knobs;
};

/// The first entry of the heuristic's list (mode A, then its fall-back) whose sums do not depend on
/// the batch: no split of the sum over blocks, no Winograd or Fourier transform, nothing
/// non-deterministic; for f32 no tensor cores either (TF32). Engines that are compiled while
/// running come last. None: std::nullopt.
std::optional<EngineChoice> choose_engine(const ConvolutionShape& shape, const CudnnTarget& target);

/// What a convolution's tensors are called in a plan.
enum CudnnUid : std::int64_t { kUidX = 1, kUidWeight = 2, kUidY = 3, kUidBias = 4, kUidSum = 5 };

/// An executable convolution. Empty descriptor: this engine does not take the shape.
struct ConvolutionPlan {
  CudnnDescriptor plan{};
  std::int64_t workspace_bytes = 0;
};
ConvolutionPlan build_plan(const ConvolutionShape& shape, const EngineChoice& choice,
                           const CudnnTarget& target);

}  // namespace diffuse::cuda
