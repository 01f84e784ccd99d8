#pragma once

#include <functional>

#include "core/base/dtype.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/plans/plan_choice.hpp"

namespace diffuse::cuda {

/// Seconds between two events of a stream around a few runs of a candidate.
class EventTimer final : public CandidateTimer {
 public:
  /// `run` puts one run into the stream; false where the candidate cannot run.
  EventTimer(DeviceStream& stream, std::function<bool(std::size_t candidate)> run);
  double seconds(std::size_t candidate) override;

 private:
  DeviceStream& stream_;
  std::function<bool(std::size_t)> run_;
  Event begin_, end_;
};

/// Memory for operands while candidates are timed: small finite numbers, whatever the dtype.
std::shared_ptr<void> timing_operand(DeviceStream& stream, std::int64_t elements, DType dtype);

}  // namespace diffuse::cuda
