#pragma once

#include <memory>

#include "core/tensor/tensor.hpp"

namespace diffuse::cuda {

/// A weight on the device in the use's dtype: linear [out, in], convolution [O, kh, kw, I] (what
/// tensor cores want), embedding [entries, width].
struct DeviceWeight final : PreparedWeight {
  std::shared_ptr<void> data;
};

inline const void* data_of(const Weight& weight) {
  return static_cast<const DeviceWeight&>(*weight.prepared).data.get();
}

}  // namespace diffuse::cuda
