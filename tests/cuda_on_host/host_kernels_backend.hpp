#pragma once

#include <vector>

#include "core/tensor/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace diffuse::test {

/// The hand-written CUDA kernels as a backend whose device is host memory: what the CUDA backend
/// runs where it uses none of the vendor's libraries, launches included.
class HostKernelsBackend final : public Backend {
 public:
  /// `warpgroups`: attention by wgmma wherever that kernel takes it.
  explicit HostKernelsBackend(bool tensor_cores, bool warpgroups = false);

  [[nodiscard]] std::string name() const override { return "cuda kernels on the host"; }
  [[nodiscard]] std::string numerics() const override { return name(); }
  [[nodiscard]] std::string refuses(DType) const override { return {}; }
  [[nodiscard]] std::shared_ptr<void> allocate(std::size_t bytes) override;
  void write(std::span<const std::byte> host, const Tensor& to) override;
  void read(const Tensor& from, std::span<std::byte> host) override;
  [[nodiscard]] Weight prepare(std::span<const StoredWeight> parts, const WeightUse& use) override;
  void execute(const Op& op) override;

 private:
  // Fresh for every op, and NaN: what an earlier op left there must not matter.
  class FreshWorkspace final : public cuda::Workspace {
   public:
    std::byte* reserve(std::size_t bytes) override;

   private:
    std::shared_ptr<void> memory_;
  };

  FreshWorkspace workspace_;
  cuda::Context context_;
};

}  // namespace diffuse::test
