#include "kernels/cpu/tile_permission.hpp"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace diffuse::cpu {

#if defined(__x86_64__) && defined(__linux__)

namespace {

// By number: g++ 12 knows no name for these in __builtin_cpu_supports.
bool processor_has_tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kAmxBf16 = 1U << 22U, kAmxTile = 1U << 24U;
  return (d & kAmxBf16) != 0 && (d & kAmxTile) != 0;
}

// Registers of 8 KiB: Linux keeps room for them only where a process asks (5.16 and newer; older
// ones say no).
bool system_lets_use_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // number of that part of the processor's state
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool tiles_granted() {
  static const bool granted = processor_has_tiles() && system_lets_use_tiles();
  return granted;
}

#else

bool tiles_granted() { return false; }

#endif

}  // namespace diffuse::cpu
