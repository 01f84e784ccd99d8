#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/graph_replay.hpp"
#include "kernels/cuda/pinned_reads.hpp"

namespace diffuse::test {

/// The CUDA backend's stream, pool, staging, graphs and reads on the stand-in for its runtime; its
/// ops and weights are the CPU backend's. As on a GPU an op runs when its stream comes to it, on
/// the addresses that its operands had when it was given.
class QueuedBackend final : public Backend {
 public:
  QueuedBackend();
  ~QueuedBackend() override;

  [[nodiscard]] std::string name() const override { return "queued"; }
  [[nodiscard]] std::string numerics() const override { return cpu_->numerics(); }
  [[nodiscard]] std::string refuses(DType dtype) const override { return cpu_->refuses(dtype); }
  [[nodiscard]] std::shared_ptr<void> allocate(std::size_t bytes) override;
  void write(std::span<const std::byte> host, const Tensor& to) override;
  void read(const Tensor& from, std::span<std::byte> host) override;
  [[nodiscard]] std::unique_ptr<PendingRead> begin_read(const Tensor& from) override;
  [[nodiscard]] Weight prepare(std::span<const StoredWeight> parts, const WeightUse& use) override;
  void execute(const Op& op) override;
  bool replay(std::unique_ptr<Replay>& kept, const std::function<bool()>& body) override;
  void wait() override;
  [[nodiscard]] std::unique_ptr<Backend> beside() override;

 private:
  explicit QueuedBackend(std::shared_ptr<Backend> cpu);

  std::shared_ptr<Backend> cpu_;
  std::shared_ptr<cuda::DeviceStream> stream_;
  cuda::Staging staging_;
  cuda::PinnedReads reads_;
  cuda::GraphReplay graphs_;
};

}  // namespace diffuse::test
