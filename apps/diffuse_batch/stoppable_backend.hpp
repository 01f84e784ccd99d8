#pragma once

#include "apps/diffuse_batch/stop.hpp"
#include "core/tensor/decorators.hpp"

namespace diffuse {

/// Ends a step, an encoding, a decoding or the loading of a model between two ops or weights, or
/// before a program that the device replays as a whole, once a stop at once is requested: throws
/// StoppedError. The backend behind it can go on.
class StoppableBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  [[nodiscard]] Weight prepare(std::span<const StoredWeight> parts, const WeightUse& use) override {
    throw_if_stopped();
    return ForwardingBackend::prepare(parts, use);
  }
  void execute(const Op& op) override {
    throw_if_stopped();
    ForwardingBackend::execute(op);
  }
  bool replay(std::unique_ptr<Replay>& kept, const std::function<bool()>& body) override {
    throw_if_stopped();
    return ForwardingBackend::replay(kept, body);
  }
};

}  // namespace diffuse
