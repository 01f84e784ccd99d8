#include "tests/conformance/host_tiles.hpp"

#include <cstring>
#include <stdexcept>

namespace diffuse::test {
namespace {

constexpr int kTiles = 8, kRows = 16, kSums = 16, kPairs = 16;

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

float as_float(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
std::uint32_t as_bits(float value) { return __builtin_bit_cast(std::uint32_t, value); }

// Numbers too small for a normal float are zeros, read as well as written.
float flushed(float value) {
  const std::uint32_t bits = as_bits(value);
  return as_float((bits & 0x7F800000U) == 0 ? bits & 0x80000000U : bits);
}

// Values of a tile of pairs: the even ones of all rows, then the odd ones.
struct Pairs {
  float values[2][kRows][kPairs];

  explicit Pairs(const std::uint32_t (&words)[kRows][16]) {
    for (int r = 0; r < kRows; ++r) {
      for (int k = 0; k < kPairs; ++k) {
        values[0][r][k] = flushed(as_float(words[r][k] << 16U));
        values[1][r][k] = flushed(as_float(words[r][k] & 0xFFFF0000U));
      }
    }
  }
};

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
  const Pairs left(unit.words[a]), right(unit.words[b]);
  for (int m = 0; m < kRows; ++m) {
    float sums[2][kSums] = {};
    for (int odd = 0; odd < 2; ++odd) {
      for (int k = 0; k < kPairs; ++k) {
        for (int n = 0; n < kSums; ++n) {
          sums[odd][n] = flushed(
              __builtin_fmaf(left.values[odd][m][k], right.values[odd][k][n], sums[odd][n]));
        }
      }
    }
    for (int n = 0; n < kSums; ++n) {
      std::uint32_t& word = unit.words[sum][m][n];
      word = as_bits(flushed(flushed(as_float(word)) + flushed(sums[0][n] + sums[1][n])));
    }
  }
}

}  // namespace diffuse::test
