#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "core/tensor/op.hpp"
#include "core/tensor/weight_memory.hpp"

namespace diffuse {

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

  /// The layout that this backend's kernels want, made from views of a file; the views may go
  /// afterwards. Several parts are stacked along the first dimension (fused query, key and value).
  /// Throws InputError(bad_model) for NaN or infinity in the values.
  [[nodiscard]] virtual Weight prepare(std::span<const StoredWeight> parts,
                                       const WeightUse& use) = 0;

  /// From now on, `prepare` puts weights there; null: into memory of its own. Backends whose
  /// weights lie on a device ignore it.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): overriders keep it
  virtual void place_weights(std::shared_ptr<WeightMemory>) {}

  /// Performs one op. Every op of the variant is implemented by every backend.
  virtual void execute(const Op& op) = 0;

  /// How this backend performs an op ("winograd", "direct", ...), for benchmarks; empty where there
  /// is nothing to tell.
  [[nodiscard]] virtual std::string method_of(const Op&) const { return {}; }
};

}  // namespace diffuse
