#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/tensor/backend.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/graph_replay.hpp"
#include "kernels/cuda/pinned_reads.hpp"
#include "kernels/cuda/plans.hpp"

namespace diffuse::cuda {

/// One GPU: convolutions by cuDNN's graphs, linear layers by cuBLASLt, everything else by kernels
/// of our own (op_kernels.hpp), which also stand in where a library has no plan, and for everything
/// under DIFFUSE_BATCH_CUDA_PLAIN=1. f32 (without TF32), f16, and bf16 from compute capability 8.0
/// on. What one picture gets depends on no other picture of its batch.
class CudaBackend final : public Backend, public PlannedBackend {
 public:
  /// `device_index`: GPU, modulo the visible ones. `rule`: how libraries' kernels are chosen.
  /// Throws DeviceError.
  CudaBackend(int device_index, PlanRule rule);
  ~CudaBackend() override;

  [[nodiscard]] std::string name() const override { return "cuda"; }
  /// "cuda NVIDIA H200 sm_90 runtime 13.0 cudnn 9.19.0 cublaslt 13.1.0".
  [[nodiscard]] std::string numerics() const override;
  [[nodiscard]] std::string refuses(DType dtype) const override;
  [[nodiscard]] std::shared_ptr<void> allocate(std::size_t bytes) override;
  void write(std::span<const std::byte> host, const Tensor& to) override;
  void read(const Tensor& from, std::span<std::byte> host) override;
  [[nodiscard]] std::unique_ptr<PendingRead> begin_read(const Tensor& from) override;
  [[nodiscard]] Weight prepare(std::span<const StoredWeight> parts, const WeightUse& use) override;
  void execute(const Op& op) override;
  Planner& planner() override { return plans_; }

  bool replay(std::unique_ptr<Replay>& kept, const std::function<bool()>& body) override;
  void wait() override;
  /// A stream, library handles and workspace of its own, and the plan table of this one, whose
  /// Planner::use() comes before.
  [[nodiscard]] std::unique_ptr<Backend> beside() override;
  /// NVTX ranges.
  void begin_range(const std::string& name) override;
  void end_range() override;

  /// Of the whole process on this GPU.
  [[nodiscard]] std::size_t peak_bytes() const override { return stream_->peak_bytes(); }
  /// By its clocks and units, as its maker counts.
  [[nodiscard]] DeviceLimits limits(DType dtype) const override;
  /// The GPU's UUID: an index means another GPU in every process that sees others.
  [[nodiscard]] std::string device_id() const override;

 private:
  /// `device` as CUDA counts; `table` as CudaPlans takes it.
  CudaBackend(int device, PlanRule rule, std::shared_ptr<PlanTable> table);
  void use_device() const;

  std::shared_ptr<DeviceStream> stream_;
  DeviceWorkspace workspace_;
  Staging staging_;
  PinnedReads reads_;
  Context context_;
  cudaDeviceProp properties_{};
  bool plain_ = false;
  CudaPlans plans_;
  GraphReplay graphs_;
};

}  // namespace diffuse::cuda
