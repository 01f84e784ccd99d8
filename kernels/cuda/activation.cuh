#pragma once

#include "core/tensor/op.hpp"
#include "kernels/cuda/launch.hpp"

namespace diffuse::cuda {

__device__ __forceinline__ float gelu(float x) {
  return 0.5F * x * (1.0F + erff(x * 0.70710678118654752F));
}

/// The flavour is the same for a whole launch, so the branch costs nothing.
__device__ __forceinline__ float activate(Activation activation, float x) {
  switch (activation) {
    case Activation::silu:
      return x / (1.0F + expf(-x));
    case Activation::gelu:
      return gelu(x);
    case Activation::quick_gelu:
      return x / (1.0F + expf(-1.702F * x));
    case Activation::none:
      break;
  }
  return x;
}

}  // namespace diffuse::cuda
