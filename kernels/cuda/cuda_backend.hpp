#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/tensor/backend.hpp"
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/linear.hpp"

namespace diffuse::cuda {

/// One GPU: convolutions by cuDNN's graphs, linear layers by cuBLASLt, everything else by kernels
/// of our own (op_kernels.hpp), which also stand in where a library has no plan, and for everything
/// under DIFFUSE_BATCH_CUDA_PLAIN=1. f32 (without TF32), f16, and bf16 from compute capability 8.0
/// on. What one picture gets depends on no other picture of its batch.
class CudaBackend final : public Backend {
 public:
  /// `device_index`: GPU, modulo the visible ones. Throws DeviceError.
  explicit CudaBackend(int device_index);
  ~CudaBackend() override;

  [[nodiscard]] std::string name() const override { return "cuda"; }
  /// "cuda NVIDIA H200 sm_90 runtime 13.0 cudnn 9.19.0 cublaslt 13.1.0".
  [[nodiscard]] std::string numerics() const override;
  [[nodiscard]] std::string refuses(DType dtype) const override;
  [[nodiscard]] std::shared_ptr<void> allocate(std::size_t bytes) override;
  void write(std::span<const std::byte> host, const Tensor& to) override;
  void read(const Tensor& from, std::span<std::byte> host) override;
  [[nodiscard]] Weight prepare(std::span<const StoredWeight> parts, const WeightUse& use) override;
  void execute(const Op& op) override;

  /// Performs `body`, which calls nothing but execute(), always the same for the same `key`. The
  /// second time it is captured into a CUDA graph, from then on the graph is launched; where
  /// capture fails, `body` runs as it is. Returns true if a graph was launched.
  bool replay(std::uint64_t key, const std::function<void()>& body);

  /// Most bytes of GPU memory in use at a time.
  [[nodiscard]] std::size_t peak_bytes() const { return stream_->peak_bytes(); }

 private:
  struct GraphDeleter {
    void operator()(cudaGraphExec_t graph) const;
  };
  struct Recording {
    std::unique_ptr<CUgraphExec_st, GraphDeleter> graph;
    int runs = 0;
    bool refused = false;
  };

  void use_device() const;
  bool capture(Recording& recording, const std::function<void()>& body);

  std::shared_ptr<DeviceStream> stream_;
  DeviceWorkspace workspace_;
  Staging staging_;
  Context context_;
  cudaDeviceProp properties_{};
  bool plain_ = false;
  ConvolutionPlans convolutions_;
  LinearPlans linears_;
  std::map<std::uint64_t, Recording> recordings_;
};

}  // namespace diffuse::cuda
