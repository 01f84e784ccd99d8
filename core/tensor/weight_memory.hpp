#pragma once

#include <cstddef>
#include <memory>

namespace diffuse {

/// Where a backend puts prepared weights. It asks for one block a weight, in the order in which the
/// model is loaded: the same sizes in the same order in every process that loads the same model on
/// the same instruction set in the same dtype.
class WeightMemory {
 public:
  struct Block {
    std::shared_ptr<void> data;  ///< aligned to 64 bytes; null: nothing but the size is asked for
    bool fill = true;            ///< false: another process writes it, or nobody
  };

  WeightMemory() = default;
  WeightMemory(const WeightMemory&) = delete;
  WeightMemory& operator=(const WeightMemory&) = delete;
  virtual ~WeightMemory() = default;

  [[nodiscard]] virtual Block next(std::size_t bytes) = 0;
};

/// Bytes that a block takes in a row of them.
constexpr std::size_t weight_block_bytes(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

/// Gives no memory: a model loaded through it reads no weight, and its size is known.
class CountedWeights final : public WeightMemory {
 public:
  [[nodiscard]] Block next(std::size_t bytes) override;
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

/// Blocks one after another in memory that several processes see. Each of `parts` processes fills
/// one stretch of about equal size; nothing may be used before all have.
class SharedWeights final : public WeightMemory {
 public:
  /// `bytes` as CountedWeights gives them; part in [0, parts).
  SharedWeights(std::shared_ptr<void> memory, std::size_t bytes, int part, int parts);

  /// Throws DeviceError where more is asked for than was counted.
  [[nodiscard]] Block next(std::size_t bytes) override;

 private:
  std::shared_ptr<void> memory_;
  std::size_t bytes_;
  std::size_t used_ = 0;
  std::size_t first_, last_;  ///< blocks that begin in [first_, last_) are filled here
};

}  // namespace diffuse
