#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <iostream>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/halves.hpp"
#include "tests/conformance/host_tiles.hpp"
#include "tests/conformance/tile_machines.hpp"

// Products of f32 on tiles, whose numbers are sums of bf16 ones.
namespace diffuse::test {
namespace {

using cpu::Held;

constexpr std::int64_t kColumns = 32;
constexpr std::int64_t kStride = 64;  // of weights

std::int64_t whole(std::int64_t count, std::int64_t size) {
  return (count + size - 1) / size * size;
}

const cpu::SplitKernels& twin() { return *host_tile_kernels()->f32.panels.split; }

// Memory as kernels take it: on a whole line.
struct Lines {
  explicit Lines(std::int64_t bytes) : memory(static_cast<std::size_t>(whole(bytes, 64)) / 64) {}
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> memory;
  [[nodiscard]] void* data() { return memory.data(); }
};

// Weights as they are held, and what they are.
struct Weights {
  Held held;
  std::vector<float> values;  // [depth][kStride]
  std::vector<std::byte> stored;

  Weights(Held held_, std::vector<float> numbers) : held(held_), values(std::move(numbers)) {
    for (float& value : values) {
      if (held == Held::as_multiplied) {
        keep(value);
      } else if (held == Held::bf16) {
        const cpu::Bf16 half = cpu::to_bf16(value);
        value = cpu::to_float(half);
        keep(half);
      } else {
        const cpu::F16 half{f16_bits(value)};
        value = cpu::to_float(half);
        keep(half);
      }
    }
  }

 private:
  template <class T>
  void keep(const T& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    stored.insert(stored.end(), bytes, bytes + sizeof value);
  }
  // Cut off; zero where it would not be a normal number.
  static std::uint16_t f16_bits(float value) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    if (std::abs(value) < 0x1p-14F) return 0;
    const std::uint32_t sign = bits >> 16U & 0x8000U;
    return static_cast<std::uint16_t>(sign | ((bits & 0x7FFFFFFFU) - (112U << 23U)) >> 13U);
  }
};

// y = x W for rows of x, [rows][depth], met in pieces of `piece` values.
std::vector<float> multiply(const cpu::SplitKernels& kernels,
                            const std::vector<std::vector<float>>& x, const Weights& weights,
                            std::int64_t piece) {
  const auto count = static_cast<std::int64_t>(x.size());
  const auto depth = static_cast<std::int64_t>(x[0].size());
  const std::int64_t each = weights.held == Held::as_multiplied ? 4 : 2;
  Lines rows(whole(count, cpu::kTileBlockRows) * whole(piece, cpu::kTileDepth) * cpu::kSplitBytes);
  Lines panel(whole(piece, cpu::kTileDepth) * kColumns * cpu::kSplitBytes);
  Lines sums(whole(count, cpu::kTileBlockRows) * kColumns * 4);
  std::vector<float> y(static_cast<std::size_t>(count * kColumns));
  std::vector<const void*> at;
  at.reserve(x.size());
  for (const auto& row : x) at.push_back(row.data());
  cpu::PanelOutput output{};
  output.y = y.data();
  output.y_stride = kColumns;
  output.f32 = true;
  for (std::int64_t d = 0; d < depth; d += piece) {
    const std::int64_t here = std::min(piece, depth - d);
    kernels.rows(at.data(), count, d, here, rows.data());
    kernels.weights(weights.stored.data() + d * kStride * each, kStride, weights.held, here,
                    panel.data());
    cpu::SplitProduct product{};
    product.x = rows.data();
    product.count = count;
    product.weights = panel.data();
    product.held = weights.held;
    product.columns = kColumns;
    product.depth = here;
    product.fresh = d == 0;
    product.sums = static_cast<float*>(sums.data());
    product.output = d + here == depth ? &output : nullptr;
    kernels.product(product);
  }
  return y;
}

std::vector<float> numbers(std::int64_t count, std::uint32_t seed, float size = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = size * normal(random);
  return values;
}

std::vector<std::vector<float>> rows_of(std::int64_t count, std::int64_t depth, float size = 1) {
  std::vector<std::vector<float>> x;
  for (std::int64_t r = 0; r < count; ++r) {
    x.push_back(numbers(depth, static_cast<std::uint32_t>(100 + r), size));
  }
  return x;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

constexpr Held kAllHeld[] = {Held::as_multiplied, Held::f16, Held::bf16};

}  // namespace

TEST_CASE("a number times one is that number, whatever it is made of") {
  if (!machine_has_avx512_bf16()) return;
  for (const Held held : kAllHeld) {
    std::vector<float> identity(kColumns * kStride, 0.0F);
    for (std::size_t d = 0; d < kColumns; ++d) identity[d * (kStride + 1)] = 1;
    // All bits of the significand, halves between two bf16 numbers among them; large and small.
    auto x = rows_of(40, kColumns);
    for (std::size_t r = 0; r < x.size(); ++r) {
      const int exponent = static_cast<int>(r) * 5 - 90;  // its last part is still normal
      for (float& value : x[r]) value = std::ldexp(value, exponent);
      x[r][3] = std::ldexp(0x1.01p0F, exponent);
      x[r][4] = std::ldexp(-0x1.030001p0F, exponent);
      x[r][5] = std::ldexp(0x1.fffffep0F, exponent);
      x[r][6] = 0;
    }
    std::vector<float> want;
    for (const auto& row : x) want.insert(want.end(), row.begin(), row.end());
    CHECK(same(multiply(twin(), x, Weights(held, identity), kColumns), want));

    std::vector<std::vector<float>> ones(3, std::vector<float>(1, 1.0F));
    const Weights weights(held, numbers(kStride, 5, 0.25F));
    const auto y = multiply(twin(), ones, weights, 1);
    for (std::size_t c = 0; c < 3 * kColumns; ++c) CHECK(y[c] == weights.values[c % kColumns]);
  }
}

TEST_CASE("sums of split numbers are no worse than multiply-adds in f32") {
  if (!machine_has_avx512_bf16()) return;
  for (const Held held : kAllHeld) {
    for (const std::int64_t depth : {33, 320, 1000}) {
      const auto x = rows_of(48, depth);
      const Weights weights(held, numbers(depth * kStride, 3, 0.1F));
      const auto got = multiply(twin(), x, weights, 320);
      double squares = 0, plain_squares = 0, worst = 0;
      for (std::size_t r = 0; r < x.size(); ++r) {
        for (std::size_t c = 0; c < kColumns; ++c) {
          double want = 0, size = 0;
          float plain = 0;
          for (std::size_t d = 0; d < x[r].size(); ++d) {
            const float w = weights.values[d * kStride + c];
            want += static_cast<double>(x[r][d]) * w;
            size += std::abs(static_cast<double>(x[r][d]) * w);
            plain = std::fma(x[r][d], w, plain);
          }
          const double error = got[r * kColumns + c] - want;
          squares += error * error;
          plain_squares += (plain - want) * (plain - want);
          worst = std::max(worst, std::abs(error) / size);
        }
      }
      INFO("held " << static_cast<int>(held) << ", depth " << depth << ": "
                   << std::sqrt(squares / plain_squares) << " of the error of multiply-adds");
      CHECK(squares <= plain_squares);
      CHECK(worst < 0x1p-22);
    }
  }
}

TEST_CASE("a row's sums of split numbers do not depend on the rows beside it") {
  if (!machine_has_avx512_bf16()) return;
  for (const std::int64_t depth : {1, 31, 64, 321}) {
    const Weights weights(Held::f16, numbers(depth * kStride, 3, 0.1F));
    const auto x = rows_of(77, depth);
    for (const std::size_t count : {std::size_t{5}, std::size_t{32}, std::size_t{48}, x.size()}) {
      const std::vector<std::vector<float>> some(x.end() - static_cast<std::ptrdiff_t>(count),
                                                 x.end());
      std::vector<float> single;
      for (const auto& row : some) {
        const auto one = multiply(twin(), {row}, weights, 160);
        single.insert(single.end(), one.begin(), one.end());
      }
      CHECK(same(multiply(twin(), some, weights, 160), single));
    }
  }
}

TEST_CASE("what is not finite gives sums that are not") {
  if (!machine_has_avx512_bf16()) return;
  const Weights weights(Held::f16, numbers(40 * kStride, 3, 0.1F));
  std::uint32_t bits = 0;
  for (const std::uint32_t bad : {0x7F800000U, 0xFF800000U, 0x7FC00000U, 0x7F800001U, 0x7FFFFFFFU,
                                  0xFFFFFFFFU, 0x7F808000U}) {
    auto x = rows_of(2, 40);
    std::memcpy(&x[1][7], &bad, sizeof bits);
    const auto y = multiply(twin(), x, weights, 40);
    for (std::size_t c = 0; c < kColumns; ++c) {
      CHECK(std::isfinite(y[c]));
      CHECK_FALSE(std::isfinite(y[kColumns + c]));
    }
  }
}

TEST_CASE("the tile unit gives its twin's bytes for split numbers") {
  if (!machine_has_tiles()) return;
  const cpu::SplitKernels& unit = *cpu::amx_bf16_kernels()->f32.panels.split;
  for (const Held held : kAllHeld) {
    for (const std::int64_t depth : {1, 33, 64, 321, 700}) {
      for (const std::int64_t count : {1, 16, 17, 77}) {
        for (const float size : {1.0F, 0x1p-63F, 0x1p70F}) {
          const Weights weights(held, numbers(depth * kStride, 3, 0.25F));
          const auto x = rows_of(count, depth, size);
          CHECK(same(multiply(unit, x, weights, 320), multiply(twin(), x, weights, 320)));
        }
      }
    }
  }
}

}  // namespace diffuse::test
