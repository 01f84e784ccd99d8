#pragma once

#include <cstdint>

namespace diffuse::cpu {

/// The tile unit of AMX: eight registers of 16 rows of 64 bytes, a set for each thread. In
/// assembly, because the intrinsics of g++ 12 let stores to memory move past the instructions that
/// read it. Product kernels take this class as a parameter; where there is no such unit, tests give
/// them another one.
class AmxTiles {
 public:
  /// All registers get their full size. To be called before any other, once tiles_granted().
  [[gnu::always_inline]] static void begin() {
    static constexpr Shapes kFull{};
    asm volatile("ldtilecfg %0" ::"m"(kFull) : "memory");
  }
  /// Nothing is left that the system would have to save.
  [[gnu::always_inline]] static void end() { asm volatile("tilerelease" ::: "memory"); }

  template <int kTile>
  [[gnu::always_inline]] static void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
  }
  /// Rows of 64 bytes, `stride` bytes apart.
  template <int kTile>
  [[gnu::always_inline]] static void load(const void* from, std::int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
  }
  /// The same for what lies in the second cache and is not wanted again soon: the first cache keeps
  /// what it has.
  template <int kTile>
  [[gnu::always_inline]] static void load_once(const void* from, std::int64_t stride) {
    asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  [[gnu::always_inline]] static void store(void* to, std::int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(kTile) : "memory");
  }
  /// sum[m][n] += sum_k a[m][2k] b[k][2n] + a[m][2k+1] b[k][2n+1], the even products and the odd
  /// ones summed up apart; a and b bf16, sums f32, denormal numbers are zero.
  template <int kSum, int kA, int kB>
  [[gnu::always_inline]] static void multiply_add() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kA), "i"(kB));
  }

 private:
  struct Shapes {  // as ldtilecfg reads it
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static_assert(sizeof(Shapes) == 64);
};

}  // namespace diffuse::cpu
