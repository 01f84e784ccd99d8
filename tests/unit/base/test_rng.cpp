#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "core/base/rng.hpp"
#include "tests/support/compare.hpp"

// Noise against published rows (printed to four decimals by torch) and against rows of torch 2.15
// with all digits, made by
//   torch.randn(n, generator=torch.Generator("cpu").manual_seed(seed))

namespace diffuse::test {
namespace {

/// Each of `want`, printed to four decimals, is what `got` holds at that place.
void check_printed(std::span<const float> got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    INFO("element " << i);
    CHECK(std::abs(static_cast<double>(got[i]) - want[i]) <= 0.5e-4 + 1e-9);
  }
}

std::span<const float> first(const std::vector<float>& values, std::size_t n) {
  return std::span<const float>(values).first(n);
}

std::span<const float> last(const std::vector<float>& values, std::size_t n) {
  return std::span<const float>(values).last(n);
}

}  // namespace

TEST_CASE("CPU noise gives the published rows of torch") {
  check_printed(TorchCpuGenerator(0).normals(16),
                {-1.1258, -1.1524, -0.2506, -0.4339, 0.8487, 0.6920, -0.3160, -2.1152, 0.3223,
                 -1.2633, 0.3500, 0.3081, 0.1198, 1.2377, 1.1168, -0.2473});
  // Fewer than 16 numbers come from another path, in double.
  check_printed(TorchCpuGenerator(0).normals(15),
                {1.5410, -0.2934, -2.1788, 0.5684, -1.0845, -1.3986, 0.4033, 0.8380, -0.7193,
                 -0.4033, -0.5966, 0.1820, -0.8567, 1.1006, -1.0712});
  check_printed(first(TorchCpuGenerator(42).normals(16384), 8),
                {1.9269, 1.4873, 0.9007, -2.1055, 0.6784, -1.2345, -0.0431, -1.6047});
  // 16 does not divide 16900: the last 16 are drawn again.
  check_printed(last(TorchCpuGenerator(42).normals(16900), 4),
                {-0.8126, -0.2636, -0.2639, -0.0835});
}

TEST_CASE("CPU noise is equal to torch's over several draws of one generator") {
  {
    TorchCpuGenerator generator(42);
    CHECK(compare<float, float>(last(generator.normals(252), 5),
                                std::vector<float>{0.219623953F, -1.59876764F, -0.10912995F,
                                                   0.715199471F, 0.0391392224F},
                                2e-6, 0)
              .ok);
    CHECK(compare<float, float>(last(generator.normals(20), 5),
                                std::vector<float>{0.712236345F, -0.0317655429F, 0.101640865F,
                                                   1.34330404F, 0.713269591F},
                                2e-6, 0)
              .ok);
    CHECK(compare<float, float>(last(generator.normals(5), 5),
                                std::vector<float>{-0.0336712897F, -1.00897205F, -1.23151755F,
                                                   -1.04696202F, -1.74607611F},
                                2e-6, 0)
              .ok);
    CHECK(compare<float, float>(last(generator.normals(5), 5),
                                std::vector<float>{-0.374213964F, -0.411716133F, -0.89974767F,
                                                   0.482075393F, 2.51509094F},
                                2e-6, 0)
              .ok);
  }
  {
    TorchCpuGenerator generator(1234567890);
    CHECK(compare<float, float>(last(generator.normals(15), 5),
                                std::vector<float>{0.030678723F, 1.49089348F, 0.562332749F,
                                                   -1.19321072F, 1.30886495F},
                                2e-6, 0)
              .ok);
    CHECK(compare<float, float>(last(generator.normals(1), 1), std::vector<float>{-0.132498905F},
                                2e-6, 0)
              .ok);
    CHECK(compare<float, float>(last(generator.normals(64), 5),
                                std::vector<float>{-1.14995337F, -1.09803474F, 0.837583661F,
                                                   1.19423914F, 0.155485526F},
                                2e-6, 0)
              .ok);
  }
}

TEST_CASE("CPU noise takes the low 32 bits of the seed") {
  CHECK(TorchCpuGenerator(7).normals(20) == TorchCpuGenerator((1ULL << 32) + 7).normals(20));
  CHECK(TorchCpuGenerator(7).normals(20) != TorchCpuGenerator(8).normals(20));
}

TEST_CASE("CUDA noise gives the published rows") {
  check_printed(PhiloxGenerator(0).normals(12),
                {-0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797, -0.6229, -0.3284, -1.0745,
                 -0.3631, -1.6711, 2.2655});
  check_printed(first(PhiloxGenerator(42).normals(16384), 6),
                {0.1940, 2.1614, -0.1721, 0.8491, -1.9244, 0.6530});
}

TEST_CASE("CUDA noise past the number of threads takes the other outputs of the same threads") {
  // Four times as many elements as threads: output k of thread i is element i + k * threads. Output
  // 0 is that of a small draw; a second round goes on where a second small draw would.
  constexpr std::size_t kThreads = 512;
  const std::vector<float> small = PhiloxGenerator(5).normals(kThreads);
  const std::vector<float> large = PhiloxGenerator(5, kThreads).normals(5 * kThreads);
  CHECK(std::equal(small.begin(), small.end(), large.begin()));
  PhiloxGenerator twice(5);
  twice.normals(kThreads);
  const std::vector<float> second = twice.normals(kThreads);
  CHECK(std::equal(second.begin(), second.end(), large.begin() + 4 * kThreads));
  CHECK(large[kThreads] != small[0]);

  // A draw that fits is the same for every grid, and zero threads mean any number.
  CHECK(PhiloxGenerator(5, 40960).normals(kThreads) == small);
  CHECK(PhiloxGenerator(5, 0).normals(kThreads) == small);
  CHECK(PhiloxGenerator(5).normals(0).empty());

  // All four outputs are standard normal.
  double mean = 0;
  double square = 0;
  for (const float value : large) {
    mean += static_cast<double>(value);
    square += static_cast<double>(value * value);
  }
  CHECK(std::abs(mean / static_cast<double>(large.size())) < 0.08);
  CHECK(square / static_cast<double>(large.size()) == Approx(1).margin(0.1));
}

TEST_CASE("the generator of a picture is made by its source") {
  CHECK(make_noise_generator(NoiseSource::cpu, 3)->normals(32) == TorchCpuGenerator(3).normals(32));
  CHECK(make_noise_generator(NoiseSource::cuda, 3, 256)->normals(600) ==
        PhiloxGenerator(3, 256).normals(600));
}

}  // namespace diffuse::test
