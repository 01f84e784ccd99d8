#include "core/tensor/weight_memory.hpp"

#include <utility>

#include "core/base/error.hpp"

namespace diffuse {
namespace {

std::size_t share(std::size_t bytes, int part, int parts) {
  return static_cast<std::size_t>(static_cast<double>(bytes) * part / parts);
}

}  // namespace

WeightMemory::Block CountedWeights::next(std::size_t bytes) {
  bytes_ += weight_block_bytes(bytes);
  return {nullptr, false};
}

SharedWeights::SharedWeights(std::shared_ptr<void> memory, std::size_t bytes, int part, int parts)
    : memory_(std::move(memory)),
      bytes_(bytes),
      first_(share(bytes, part, parts)),
      last_(part + 1 == parts ? bytes : share(bytes, part + 1, parts)) {}

WeightMemory::Block SharedWeights::next(std::size_t bytes) {
  const std::size_t begin = used_;
  const std::size_t taken = weight_block_bytes(bytes);
  if (taken > bytes_ - begin) {
    throw DeviceError("the shared copy of the weights is smaller than the weights (this is a bug)",
                      ExitCode::bug);
  }
  used_ += taken;
  return {std::shared_ptr<void>(memory_, static_cast<std::byte*>(memory_.get()) + begin),
          begin >= first_ && begin < last_};
}

}  // namespace diffuse
