#pragma once

#include <string>
#include <vector>

#include "core/tensor/backend.hpp"
#include "kernels/cpu/isa.hpp"
#include "kernels/cpu/memory.hpp"
#include "kernels/cpu/onednn.hpp"

namespace diffuse::cpu {

/// The processor as a device: convolutions with few channels by oneDNN, everything else by kernels
/// of our own, compiled for several instruction sets. f32, and bf16 where the processor multiplies
/// it natively. What one picture gets depends on no other picture, nor on the number of threads.
class CpuBackend final : public Backend {
 public:
  /// `threads`: 0 leaves OpenMP's own choice. `isa`: see `choose_isa`. `lean`: weights take no more
  /// memory than they must, so no Winograd. Throws ConfigError.
  CpuBackend(int threads, std::string_view isa, bool lean = false);

  [[nodiscard]] std::string name() const override { return "cpu"; }
  /// "cpu avx512_bf16 onednn 2.6.3 avx512_core_bf16", and " lean" where it is.
  [[nodiscard]] std::string numerics() const override;
  [[nodiscard]] std::string refuses(DType dtype) const override;
  [[nodiscard]] std::shared_ptr<void> allocate(std::size_t bytes) override;
  void write(std::span<const std::byte> host, const Tensor& to) override;
  void read(const Tensor& from, std::span<std::byte> host) override;
  [[nodiscard]] Weight prepare(std::span<const StoredWeight> parts, const WeightUse& use) override;
  void place_weights(std::shared_ptr<WeightMemory> memory) override;
  [[nodiscard]] bool fuses_geglu(const Weight& weight) const override;
  void execute(const Op& op) override;
  /// Convolutions: "winograd" or "direct".
  [[nodiscard]] std::string method_of(const Op& op) const override;

  [[nodiscard]] const OneDnn& onednn() const { return onednn_; }

 private:
  void run(const EmbeddingOp& op);
  void run(const LinearOp& op);
  void run(const Conv2dOp& op);
  void run(const GroupNormOp& op);
  void run(const LayerNormOp& op);
  void run(const AttentionOp& op);
  void run(const GegluOp& op);
  void run(const ActivationOp& op);
  void run(const UpsampleNearestOp& op);
  void run(const ConcatChannelsOp& op);
  void run(const CopyOp& op);
  void run(const SelectRowOp& op);
  void run(const ScaleInputOp& op);
  void run(const SchedulerStepOp& op);
  void run(const PixelsOp& op);

  void set_threads() const;
  [[nodiscard]] bool by_winograd(const Convolution& convolution) const;
  [[nodiscard]] const TypedKernels& kernels(DType dtype) const;

  int threads_;
  bool lean_;
  std::shared_ptr<WeightMemory> weight_memory_;
  Isa isa_;
  const KernelTable& table_;
  OneDnn onednn_;
  WeightPool weight_pool_;
  Scratch loading_scratch_;  // of weights that are being prepared; given back at the first op
  Scratch scratch_;          // of our own kernels and of repacked operands
  Scratch onednn_scratch_;   // of oneDNN's primitives
};

}  // namespace diffuse::cpu
