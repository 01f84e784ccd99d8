#include "kernels/cpu/isa.hpp"

#include <array>
#include <cstdlib>
#include <string>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "kernels/cpu/tile_permission.hpp"

namespace diffuse::cpu {
namespace {

constexpr std::array<Isa, 5> kAll = {Isa::sse, Isa::avx2, Isa::avx512, Isa::avx512_bf16,
                                     Isa::amx_bf16};

const KernelTable* table_of(Isa isa) {
  switch (isa) {
    case Isa::sse:
      return sse_kernels();
    case Isa::avx2:
      return avx2_kernels();
    case Isa::avx512:
      return avx512_kernels();
    case Isa::avx512_bf16:
      return avx512_bf16_kernels();
    case Isa::amx_bf16:
      return amx_bf16_kernels();
  }
  return nullptr;
}

bool machine_has(Isa isa) {
  switch (isa) {
    case Isa::sse:
      return true;
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
    case Isa::avx512:
      return machine_has(Isa::avx2) && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
             __builtin_cpu_supports("avx512dq") != 0;
    case Isa::avx512_bf16:
      return machine_has(Isa::avx512) && __builtin_cpu_supports("avx512bf16") != 0;
    case Isa::amx_bf16:
      return machine_has(Isa::avx512_bf16) && tiles_granted();
  }
  return false;
}

}  // namespace

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::sse:
      return "sse";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return "avx512_bf16";
    case Isa::amx_bf16:
      return "amx_bf16";
  }
  return "?";
}

Isa best_isa() {
  Isa best = Isa::sse;
  for (const Isa isa : kAll) {
    if (machine_has(isa) && table_of(isa) != nullptr) best = isa;
  }
  return best;
}

Isa choose_isa(std::string_view forced) {
  const char* environment = std::getenv("DIFFUSE_BATCH_ISA");
  if (forced.empty() && environment != nullptr) forced = environment;
  const Isa best = best_isa();
  if (forced.empty()) return best;
  for (const Isa isa : kAll) {
    if (name_of(isa) != forced) continue;
    if (isa > best || table_of(isa) == nullptr) {
      throw ConfigError("instruction set " + std::string(forced) +
                        " is asked for, but the best that this machine and build have is " +
                        std::string(name_of(best)));
    }
    return isa;
  }
  throw ConfigError("unknown instruction set \"" + printable(forced) +
                    "\": use sse, avx2, avx512, avx512_bf16 or amx_bf16");
}

const KernelTable& kernels_of(Isa isa) { return *table_of(isa); }

}  // namespace diffuse::cpu
