#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace diffuse {

/// Source of standard normal numbers of one picture. A picture has its own generator, seeded from
/// its own job, so its noise depends on nothing else. Draws follow one another: first the latents,
/// then one draw per step of a scheduler that adds noise.
class NoiseGenerator {
 public:
  NoiseGenerator() = default;
  NoiseGenerator(const NoiseGenerator&) = delete;
  NoiseGenerator& operator=(const NoiseGenerator&) = delete;
  virtual ~NoiseGenerator() = default;

  /// The next draw: `n` normal numbers in the order of a contiguous [1, channels, height, width]
  /// f32 tensor. How `n` is split into draws changes the numbers, as it does in torch.
  virtual std::vector<float> normals(std::size_t n) = 0;
};

/// `torch.randn(n, generator=torch.Generator("cpu").manual_seed(seed))`, dtype float32.
/// mt19937 on the low 32 bits of the seed. n >= 16: Box-Muller on blocks of 16 floats, the last 16
/// drawn afresh if 16 does not divide n; n < 16: in double, the second number of a pair kept for
/// the next such draw. Log, sine and cosine are the polynomials of torch's vector path (AVX2 and
/// AVX-512), so the numbers are equal to its own, but for the last bits where a compiler fuses
/// differently. Source: ATen `DistributionTemplates.h`, `avx_mathfun.h` (Cephes).
class TorchCpuGenerator final : public NoiseGenerator {
 public:
  explicit TorchCpuGenerator(std::uint64_t seed);
  std::vector<float> normals(std::size_t n) override;

 private:
  float uniform24();   ///< [0, 1) in steps of 2^-24, one 32-bit draw
  double uniform53();  ///< [0, 1) in steps of 2^-53, two 32-bit draws, the first is the high word
  double normal();     ///< the double path

  std::mt19937 engine_;
  std::optional<double> next_normal_;
};

/// `torch.randn(n, device="cuda")`, dtype float32: philox4x32-10 with key = seed and
/// counter = (call, thread); element i + k * threads is output k of thread i.
/// `grid_threads` is the number of threads of the GPU imitated (RTX 3090: 125,952); without it,
/// every element has its own thread, which is what GPUs do for small n and what A1111's "NV" and
/// stable-diffusion.cpp's "cuda" noise do for any n. Sine and cosine of the device are
/// approximate, so a real GPU's numbers are close, not equal to the bit.
/// Source: Salmon et al. 2011; ATen `DistributionTemplates.h`, cuRAND `curand_normal.h`.
class PhiloxGenerator final : public NoiseGenerator {
 public:
  explicit PhiloxGenerator(std::uint64_t seed,
                           std::optional<std::uint64_t> grid_threads = std::nullopt);
  std::vector<float> normals(std::size_t n) override;

 private:
  std::uint64_t seed_;
  std::optional<std::uint64_t> grid_threads_;
  std::uint64_t call_ = 0;  ///< counter of the next call of a thread's generator
};

enum class NoiseSource { cpu, cuda };

/// The generator of one picture. `grid_threads` is for `cuda` only.
std::unique_ptr<NoiseGenerator> make_noise_generator(
    NoiseSource source, std::uint64_t seed,
    std::optional<std::uint64_t> grid_threads = std::nullopt);

}  // namespace diffuse
