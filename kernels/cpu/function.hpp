#pragma once

#include "core/tensor/op.hpp"
#include "kernels/cpu/kernels.hpp"

namespace diffuse::cpu {

inline Function function_of(Activation activation) {
  switch (activation) {
    case Activation::none:
      return Function::identity;
    case Activation::silu:
      return Function::silu;
    case Activation::gelu:
      return Function::gelu;
    case Activation::quick_gelu:
      return Function::quick_gelu;
  }
  return Function::identity;
}

}  // namespace diffuse::cpu
