#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/cpu/kernels.hpp"

namespace diffuse::cpu {

/// Instruction sets that the kernels are compiled for, each including the one before.
enum class Isa : std::uint8_t { sse, avx2, avx512, avx512_bf16, amx_bf16 };

/// "sse", "avx2", "avx512", "avx512_bf16", "amx_bf16".
std::string_view name_of(Isa isa);

/// The best one that this machine has and this build holds.
Isa best_isa();

/// The one to use: `forced` if given, else the environment's DIFFUSE_BATCH_ISA, else the best.
/// Throws ConfigError for an unknown name or one that is better than the best.
Isa choose_isa(std::string_view forced);

const KernelTable& kernels_of(Isa isa);

}  // namespace diffuse::cpu
