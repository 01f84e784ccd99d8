#pragma once

// The table of one instruction set. No standard library templates in here or above: their inline
// code, compiled with this instruction set, could replace that of the rest of the program.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/halves.hpp"
#include "kernels/cpu/kernels.hpp"
// In this order: each uses the one before.
#include "kernels/cpu/isa/math.inl.hpp"
// clang-format off
#include "kernels/cpu/isa/norms.inl.hpp"
#include "kernels/cpu/isa/attention_pack.inl.hpp"
#include "kernels/cpu/isa/attention_products.inl.hpp"
#include "kernels/cpu/isa/attention.inl.hpp"
#include "kernels/cpu/isa/product.inl.hpp"
#include "kernels/cpu/isa/panels.inl.hpp"
#include "kernels/cpu/isa/winograd.inl.hpp"
// clang-format on

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

template <class T, class P>
constexpr TypedKernels typed_kernels() {
  return {group_moments<T>,
          group_apply<T>,
          layer_norm<T>,
          geglu<T>,
          activation<T>,
          panel_kernels<T, P>(),
          winograd_kernels<T>(),
          attention_kernels<T, P>(),
          attention_kernels<T, F32Products>()};
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
