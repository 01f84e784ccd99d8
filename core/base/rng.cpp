#include "core/base/rng.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numbers>

namespace diffuse {
namespace {

/// Natural logarithm of a positive normal float: `log256_ps` of avx_mathfun.h, one lane. The fused
/// multiply-adds are those that GCC makes of it in torch's builds.
float log_polynomial(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  float e = static_cast<float>(static_cast<int>(bits >> 23) - 0x7f) + 1.0F;
  x = std::bit_cast<float>((bits & 0x007fffffU) | 0x3f000000U);  // mantissa in [0.5, 1)
  if (x < 0.707106781186547524F) {
    e -= 1.0F;
    x = (x - 1.0F) + x;
  } else {
    x -= 1.0F;
  }
  const float z = x * x;
  float y = 7.0376836292E-2F;
  for (const float coefficient :
       {-1.1514610310E-1F, 1.1676998740E-1F, -1.2420140846E-1F, 1.4249322787E-1F, -1.6668057665E-1F,
        2.0000714765E-1F, -2.4999993993E-1F, 3.3333331174E-1F}) {
    y = std::fma(y, x, coefficient);
  }
  y *= x;
  y = std::fma(y, z, e * -2.12194440e-4F);
  y = std::fma(-z, 0.5F, y);
  return std::fma(e, 0.693359375F, x + y);
}

struct SineCosine {
  float sine;
  float cosine;
};

/// Sine and cosine of x >= 0: `sincos256_ps` of avx_mathfun.h, one lane.
SineCosine sincos_polynomial(float x) {
  const int octant = (static_cast<int>(x * 1.27323954473516F) + 1) & ~1;
  const auto y = static_cast<float>(octant);
  x = std::fma(y, -0.78515625F, x);
  x = std::fma(y, -2.4187564849853515625e-4F, x);
  x = std::fma(y, -3.77489497744594108e-8F, x);

  const float z = x * x;
  float c = std::fma(2.443315711809948E-005F, z, -1.388731625493765E-003F);
  c = std::fma(c, z, 4.166664568298827E-002F);
  c *= z;
  c = std::fma(c, z, -(z * 0.5F)) + 1.0F;
  float s = std::fma(-1.9515295891E-4F, z, 8.3321608736E-3F);
  s = std::fma(s, z, -1.6666654611E-1F);
  s *= z;
  s = std::fma(s, x, x);

  const bool swap = (octant & 2) != 0;
  const bool negative_sine = (octant & 4) != 0;
  const bool negative_cosine = ((octant - 2) & 4) == 0;
  const float sine = swap ? c : s;
  const float cosine = swap ? s : c;
  return {negative_sine ? -sine : sine, negative_cosine ? -cosine : cosine};
}

/// Box-Muller in place on 16 uniforms: the first half gives radii, the second half angles.
void transform_block(float* block) {
  constexpr float kTwoPi = 2.0F * std::numbers::pi_v<float>;
  for (int i = 0; i < 8; ++i) {
    const float radius = std::sqrt(-2.0F * log_polynomial(1.0F - block[i]));
    const SineCosine angle = sincos_polynomial(kTwoPi * block[i + 8]);
    block[i] = radius * angle.cosine;
    block[i + 8] = radius * angle.sine;
  }
}

using PhiloxBlock = std::array<std::uint32_t, 4>;

/// Ten rounds of philox4x32.
PhiloxBlock philox(PhiloxBlock counter, std::uint64_t key) {
  auto key_low = static_cast<std::uint32_t>(key);
  auto key_high = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter = {
        static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key_low, static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key_high, static_cast<std::uint32_t>(a)};
    key_low += 0x9E3779B9U;
    key_high += 0xBB67AE85U;
  }
  return counter;
}

/// cuRAND's Box-Muller of two 32-bit words: sine first.
std::array<float, 2> device_normals(std::uint32_t x, std::uint32_t y) {
  constexpr float kStep = 2.3283064e-10F;  // 2^-32
  constexpr float kAngleStep = 2.3283064e-10F * 6.2831855F;
  const float u = static_cast<float>(x) * kStep + kStep / 2.0F;
  const float v = static_cast<float>(y) * kAngleStep + kAngleStep / 2.0F;
  const double radius = std::sqrt(-2.0 * std::log(static_cast<double>(u)));
  const auto angle = static_cast<double>(v);
  return {static_cast<float>(radius * std::sin(angle)),
          static_cast<float>(radius * std::cos(angle))};
}

}  // namespace

TorchCpuGenerator::TorchCpuGenerator(std::uint64_t seed)
    : engine_(static_cast<std::uint32_t>(seed)) {}

float TorchCpuGenerator::uniform24() {
  return static_cast<float>(engine_() & 0xFFFFFFU) * 0x1p-24F;
}

double TorchCpuGenerator::uniform53() {
  const auto high = static_cast<std::uint64_t>(engine_());
  const auto low = static_cast<std::uint64_t>(engine_());
  return static_cast<double>(((high << 32) | low) & ((std::uint64_t{1} << 53) - 1)) * 0x1p-53;
}

double TorchCpuGenerator::normal() {
  if (next_normal_) {
    const double value = *next_normal_;
    next_normal_.reset();
    return value;
  }
  const double angle = 2.0 * std::numbers::pi * uniform53();
  const double radius = std::sqrt(-2.0 * std::log1p(-uniform53()));
  next_normal_ = radius * std::sin(angle);
  return radius * std::cos(angle);
}

std::vector<float> TorchCpuGenerator::normals(std::size_t n) {
  constexpr std::size_t kBlock = 16;
  std::vector<float> values(n);
  if (n < kBlock) {
    for (float& value : values) value = static_cast<float>(normal());
    return values;
  }
  for (float& value : values) value = uniform24();
  for (std::size_t i = 0; i + kBlock <= n; i += kBlock) transform_block(values.data() + i);
  // The tail: the last 16 values are drawn again, over some that were finished already.
  if (n % kBlock != 0) {
    float* last = values.data() + (n - kBlock);
    for (std::size_t i = 0; i < kBlock; ++i) last[i] = uniform24();
    transform_block(last);
  }
  return values;
}

PhiloxGenerator::PhiloxGenerator(std::uint64_t seed, std::optional<std::uint64_t> grid_threads)
    : seed_(seed), grid_threads_(grid_threads) {
  if (grid_threads_ == std::uint64_t{0}) grid_threads_.reset();
}

std::vector<float> PhiloxGenerator::normals(std::size_t n) {
  std::vector<float> values(n);
  if (n == 0) return values;
  const std::uint64_t threads = std::min<std::uint64_t>(grid_threads_.value_or(n), n);
  for (std::uint64_t begin = 0; begin < n; begin += 4 * threads, ++call_) {
    for (std::uint64_t thread = 0; thread < std::min<std::uint64_t>(threads, n - begin); ++thread) {
      const PhiloxBlock words =
          philox({static_cast<std::uint32_t>(call_), static_cast<std::uint32_t>(call_ >> 32),
                  static_cast<std::uint32_t>(thread), static_cast<std::uint32_t>(thread >> 32)},
                 seed_);
      const auto first = device_normals(words[0], words[1]);
      const auto second = device_normals(words[2], words[3]);
      const std::array<float, 4> outputs{first[0], first[1], second[0], second[1]};
      for (std::uint64_t k = 0; k < 4; ++k) {
        const std::uint64_t element = begin + thread + k * threads;
        if (element < n) values[element] = outputs[k];
      }
    }
  }
  return values;
}

std::unique_ptr<NoiseGenerator> make_noise_generator(NoiseSource source, std::uint64_t seed,
                                                     std::optional<std::uint64_t> grid_threads) {
  if (source == NoiseSource::cuda) return std::make_unique<PhiloxGenerator>(seed, grid_threads);
  return std::make_unique<TorchCpuGenerator>(seed);
}

}  // namespace diffuse
