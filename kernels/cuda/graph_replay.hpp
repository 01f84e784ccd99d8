#pragma once

#include <functional>
#include <memory>

#include "core/tensor/backend.hpp"
#include "kernels/cuda/device.hpp"

namespace diffuse::cuda {

/// Backend::replay() on a stream. The first run of a body makes plans and grows the workspace,
/// which a capture may not; the second is captured into a CUDA graph, from then on the graph is
/// launched. Where a capture fails, the body runs as it is.
class GraphReplay {
 public:
  explicit GraphReplay(DeviceStream& stream);

  /// `kept` comes from this object or is empty. Never further ahead of the GPU than the graph that
  /// it works on and the next one: a request to stop is to take effect soon.
  bool run(std::unique_ptr<Replay>& kept, const std::function<bool()>& body);

 private:
  struct Recording;
  enum class Outcome { captured, ended_early, refused };

  Outcome capture(Recording& recording, const std::function<bool()>& body);
  void launch(const Recording& recording);

  DeviceStream& stream_;
  Event done_[2];  ///< the last two launches, by turns
  int next_ = 0;
};

}  // namespace diffuse::cuda
