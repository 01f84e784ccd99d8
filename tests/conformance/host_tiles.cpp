#include "tests/conformance/host_tiles.hpp"

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace diffuse::test {
namespace {

constexpr int kTiles = 8, kRows = 16, kPairs = 16;

struct Unit {
  bool begun = false;
  bool written[kTiles] = {};
  alignas(64) std::uint32_t words[kTiles][kRows][16] = {};
};
thread_local Unit unit;

void need(bool right, const char* what) {
  if (!right) throw std::logic_error(what);
}
void need_written(int tile) {
  need(unit.begun, "tiles are used before they have a size");
  need(unit.written[tile], "a tile is read that nothing was written to");
}

// Numbers too small for a normal float are zeros, read as well as written.
__m512 flushed(__m512 values) {
  const __m512i bits = _mm512_castps_si512(values);
  const __mmask16 small = _mm512_testn_epi32_mask(bits, _mm512_set1_epi32(0x7F800000));
  return _mm512_castsi512_ps(
      _mm512_mask_and_epi32(bits, small, bits, _mm512_set1_epi32(INT32_MIN)));
}

// The even or the odd values of a row of pairs.
__m512 half_of(const std::uint32_t (&pairs)[16], bool odd) {
  const __m512i words = _mm512_load_si512(pairs);
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000U));
  return flushed(
      _mm512_castsi512_ps(odd ? _mm512_and_si512(words, upper) : _mm512_slli_epi32(words, 16)));
}

}  // namespace

void HostTiles::begin() {
  unit.begun = true;
  for (bool& written : unit.written) written = false;
}

void HostTiles::end() {
  need(unit.begun, "tiles are released before they have a size");
  unit.begun = false;
}

void HostTiles::zero(int tile) {
  need(unit.begun, "tiles are used before they have a size");
  std::memset(unit.words[tile], 0, sizeof(unit.words[tile]));
  unit.written[tile] = true;
}

void HostTiles::load(int tile, const void* from, std::int64_t stride) {
  need(unit.begun, "tiles are used before they have a size");
  for (int r = 0; r < kRows; ++r) {
    std::memcpy(unit.words[tile][r], static_cast<const char*>(from) + r * stride, 64);
  }
  unit.written[tile] = true;
}

void HostTiles::store(int tile, void* to, std::int64_t stride) {
  need_written(tile);
  for (int r = 0; r < kRows; ++r) {
    std::memcpy(static_cast<char*>(to) + r * stride, unit.words[tile][r], 64);
  }
}

void HostTiles::multiply_add(int sum, int a, int b) {
  for (const int tile : {sum, a, b}) need_written(tile);
  need(sum != a && sum != b && a != b, "a product of a tile with itself");
  for (int m = 0; m < kRows; ++m) {
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (const int odd : {0, 1}) {
      alignas(64) float left[kPairs];
      _mm512_store_ps(left, half_of(unit.words[a][m], odd != 0));
      for (int k = 0; k < kPairs; ++k) {
        const __m512 right = half_of(unit.words[b][k], odd != 0);
        sums[odd] = flushed(_mm512_fmadd_ps(_mm512_set1_ps(left[k]), right, sums[odd]));
      }
    }
    const __m512 before = flushed(_mm512_castsi512_ps(_mm512_load_si512(unit.words[sum][m])));
    const __m512 after = flushed(_mm512_add_ps(before, flushed(_mm512_add_ps(sums[0], sums[1]))));
    _mm512_store_si512(unit.words[sum][m], _mm512_castps_si512(after));
  }
}

}  // namespace diffuse::test
