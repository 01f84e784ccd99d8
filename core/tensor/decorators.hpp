#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "core/tensor/backend.hpp"

namespace diffuse {

/// Forwards everything to another backend; base of the decorators. A replay does not show its ops:
/// who must see each one overrides replay() to call the body.
class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(Backend& inner) : inner_(inner) {}
  [[nodiscard]] std::string name() const override { return inner_.name(); }
  [[nodiscard]] std::string numerics() const override { return inner_.numerics(); }
  [[nodiscard]] std::string refuses(DType dtype) const override { return inner_.refuses(dtype); }
  [[nodiscard]] std::shared_ptr<void> allocate(std::size_t bytes) override {
    return inner_.allocate(bytes);
  }
  void write(std::span<const std::byte> host, const Tensor& to) override { inner_.write(host, to); }
  void read(const Tensor& from, std::span<std::byte> host) override { inner_.read(from, host); }
  [[nodiscard]] std::unique_ptr<PendingRead> begin_read(const Tensor& from) override {
    return inner_.begin_read(from);
  }
  [[nodiscard]] Weight prepare(std::span<const StoredWeight> parts, const WeightUse& use) override {
    return inner_.prepare(parts, use);
  }
  void place_weights(std::shared_ptr<WeightMemory> memory) override {
    inner_.place_weights(std::move(memory));
  }
  [[nodiscard]] bool fuses_geglu(const Weight& weight) const override {
    return inner_.fuses_geglu(weight);
  }
  void execute(const Op& op) override { inner_.execute(op); }
  bool replay(std::unique_ptr<Replay>& kept, const std::function<bool()>& body) override {
    return inner_.replay(kept, body);
  }
  void wait() override { inner_.wait(); }
  void begin_range(const std::string& name) override { inner_.begin_range(name); }
  void end_range() override { inner_.end_range(); }
  [[nodiscard]] std::size_t peak_bytes() const override { return inner_.peak_bytes(); }
  [[nodiscard]] DeviceLimits limits(DType dtype) const override { return inner_.limits(dtype); }
  [[nodiscard]] std::string device_id() const override { return inner_.device_id(); }
  [[nodiscard]] std::string method_of(const Op& op) const override { return inner_.method_of(op); }

 private:
  Backend& inner_;
};

/// An op and its shapes in one line, equal for ops that cost the same:
/// "conv2d 3x3 2x64x64x320 -> 640", "attention 2x4096, 8 heads of 40, 77 keys".
std::string label_of(const Op& op);

/// Adds up time, floating-point operations and calls of every op and shape (`--profile`). Waits for
/// the device after every op.
class TracingBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  struct Line {
    std::int64_t calls = 0;
    double seconds = 0;
    OpCost cost;  ///< of all calls together
  };
  void execute(const Op& op) override;
  bool replay(std::unique_ptr<Replay>& /*kept*/, const std::function<bool()>& body) override {
    return body();
  }
  /// Key: label_of the op.
  [[nodiscard]] const std::map<std::string, Line>& lines() const { return lines_; }

 private:
  std::map<std::string, Line> lines_;
};

}  // namespace diffuse
