#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace diffuse {

/// Bytes on their way from a device to the host.
class PendingRead {
 public:
  PendingRead() = default;
  PendingRead(const PendingRead&) = delete;
  PendingRead& operator=(const PendingRead&) = delete;
  virtual ~PendingRead() = default;

  /// Whether take() would not wait. Throws DeviceError.
  [[nodiscard]] virtual bool ready() = 0;
  /// Waits for the bytes and gives them away: once. Throws DeviceError.
  [[nodiscard]] virtual std::vector<std::uint8_t> take() = 0;
};

/// Bytes that are there.
class FinishedRead final : public PendingRead {
 public:
  explicit FinishedRead(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] bool ready() override { return true; }
  [[nodiscard]] std::vector<std::uint8_t> take() override { return std::move(bytes_); }

 private:
  std::vector<std::uint8_t> bytes_;
};

}  // namespace diffuse
