#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor/op.hpp"
#include "core/tensor/pending_read.hpp"
#include "core/tensor/weight_memory.hpp"

namespace diffuse {

/// What a backend keeps of work that it performs again and again.
struct Replay {
  virtual ~Replay() = default;
};

/// What a device can do at best; 0: not known.
struct DeviceLimits {
  double flops_per_second = 0;  ///< of matrix products, sums in f32
  double bytes_per_second = 0;  ///< between memory and processor
};

/// What a device must do. Called by `Ops` and by `Program` only: operands are checked, outputs
/// allocated. One object serves one thread. Throws DeviceError.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// "cpu", "cuda", ...
  [[nodiscard]] virtual std::string name() const = 0;
  /// What decides the bytes of a picture beside the job: instruction set or GPU type, and library
  /// versions.
  [[nodiscard]] virtual std::string numerics() const = 0;
  /// Can activations have this dtype here? If not, the reason; empty if yes.
  [[nodiscard]] virtual std::string refuses(DType dtype) const = 0;

  /// Device memory, 64-byte aligned or better; freed when the last owner goes. 0 bytes give a valid
  /// pointer.
  [[nodiscard]] virtual std::shared_ptr<void> allocate(std::size_t bytes) = 0;
  /// Copies host bytes into a contiguous tensor of that many bytes.
  virtual void write(std::span<const std::byte> host, const Tensor& to) = 0;
  /// Waits for the device, then copies a contiguous tensor to the host.
  virtual void read(const Tensor& from, std::span<std::byte> host) = 0;
  /// Begins to copy a contiguous tensor to the host, behind the work given so far; work given later
  /// may overwrite the tensor. Where nothing runs beside the caller, the bytes are there at once.
  [[nodiscard]] virtual std::unique_ptr<PendingRead> begin_read(const Tensor& from) {
    std::vector<std::uint8_t> bytes(from.bytes());
    read(from, std::as_writable_bytes(std::span(bytes)));
    return std::make_unique<FinishedRead>(std::move(bytes));
  }

  /// The layout that this backend's kernels want, made from views of a file; the views may go
  /// afterwards. Several parts are stacked along the first dimension (fused query, key and value).
  /// Throws InputError(bad_model) for NaN or infinity in the values.
  [[nodiscard]] virtual Weight prepare(std::span<const StoredWeight> parts,
                                       const WeightUse& use) = 0;

  /// From now on, `prepare` puts weights there; null: into memory of its own. Backends whose
  /// weights lie on a device ignore it.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): overriders keep it
  virtual void place_weights(std::shared_ptr<WeightMemory>) {}

  /// Does LinearOp's `geglu` work here, for weights [out, in] of this use?
  [[nodiscard]] virtual bool fuses_geglu(const Weight& /*weight*/) const { return false; }

  /// Performs one op. Every op of the variant is implemented by every backend.
  virtual void execute(const Op& op) = 0;
  /// Performs `body`, which calls nothing but execute() and range calls, and returns what it
  /// returned: false if it ended early. With the same `kept`, empty at first, the same ops on the
  /// same memory follow: a backend may keep there what spares it `body` from then on. The owner
  /// empties `kept` before an address changes. Decorators that look at ops call `body` themselves.
  virtual bool replay(std::unique_ptr<Replay>& /*kept*/, const std::function<bool()>& body) {
    return body();
  }
  /// Waits until the device has done what it was given.
  virtual void wait() {}
  /// Another backend on the same device: what it is given runs beside this one's work, with the
  /// same choices of kernels, and may use this one's memory once wait() has returned. Null where
  /// both would only take turns, and from decorators, which would not see it.
  [[nodiscard]] virtual std::unique_ptr<Backend> beside() { return nullptr; }

  /// What follows belongs to a range of that name, inside the ranges begun before; for the
  /// timelines of profilers. end_range() does not throw.
  virtual void begin_range(const std::string&) {}
  virtual void end_range() {}

  /// Most bytes of a device's own memory in use at a time; 0 where there is none.
  [[nodiscard]] virtual std::size_t peak_bytes() const { return 0; }
  [[nodiscard]] virtual DeviceLimits limits(DType) const { return {}; }
  /// The same for two backends if they share one device, on whatever process; empty where nobody
  /// minds.
  [[nodiscard]] virtual std::string device_id() const { return {}; }

  /// How this backend performs an op ("winograd", "direct", ...), for benchmarks; empty where there
  /// is nothing to tell.
  [[nodiscard]] virtual std::string method_of(const Op&) const { return {}; }
};

}  // namespace diffuse
