#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>

#include "core/base/error.hpp"
#include "core/tensor/program.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/make_backend.hpp"
#include "tests/conformance/device.hpp"

// What the CPU backend promises beyond its ops' values.
namespace diffuse::test {
namespace {

std::unique_ptr<Backend> cpu_backend(int threads = 2) {
  try {
    return make_backend("cpu", {.threads = threads, .force_isa = {}, .device_index = 0});
  } catch (const ConfigError& error) {
    std::cout << "not run: " << error.what() << "\n";
    return nullptr;
  }
}

std::vector<DType> dtypes_of(const Backend& backend) {
  std::vector<DType> dtypes;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    if (backend.refuses(dtype).empty()) dtypes.push_back(dtype);
  }
  return dtypes;
}

Weight prepared(Ops& ops, const std::vector<float>& values, const Shape& shape,
                const WeightUse& use) {
  const StoredWeight stored{std::as_bytes(std::span(values)), DType::f32, shape};
  return ops.prepare({&stored, 1}, use);
}

std::vector<float> numbers(std::int64_t count, std::uint32_t seed) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) {
    seed = seed * 1664525U + 1013904223U;
    v = static_cast<float>(seed >> 8) / static_cast<float>(1 << 23) - 1.0F;
  }
  return values;
}

Tensor uploaded(Ops& ops, const std::vector<float>& values, const Shape& shape) {
  const Tensor x = ops.upload(values, shape);
  Tensor y = ops.make(ops.dtype(), shape);
  ops.copy(x, y);
  return y;
}

std::vector<float> head(const std::vector<float>& values, std::int64_t count) {
  return {values.begin(), values.begin() + count};
}

}  // namespace

TEST_CASE("a row of a linear layer has the same bytes among 1, 2, 3, 77, 154 or 512 rows") {
  const auto backend = cpu_backend();
  if (backend == nullptr) return;
  const std::pair<std::int64_t, std::int64_t> widths[] = {
      {320, 320},  {320, 960},   {320, 2560},  {1280, 320}, {640, 5120}, {1280, 1280},
      {768, 3072}, {1024, 1024}, {5120, 1280}, {7, 5},      {33, 70}};
  for (const DType dtype : dtypes_of(*backend)) {
    Ops ops(*backend, dtype);
    for (const auto& [in, out] : widths) {
      const auto x = numbers(512 * in, 1);
      const Weight weight = prepared(ops, numbers(in * out, 2), {out, in},
                                     {.role = WeightRole::linear, .dtype = dtype});
      const Tensor bias = ops.upload(numbers(out, 3), {out});
      std::vector<std::uint8_t> all;
      for (const std::int64_t rows : {512, 1, 2, 3, 77, 154}) {
        INFO(name_of(dtype) << " " << in << " to " << out << ", " << rows << " rows");
        const Tensor input = uploaded(ops, head(x, rows * in), {rows, in});
        const auto bytes = ops.begin_download(ops.linear(input, weight, {.bias = bias}))->take();
        if (all.empty()) all = bytes;
        CHECK(std::memcmp(all.data(), bytes.data(), bytes.size()) == 0);
      }
    }
  }
}

TEST_CASE("a picture of a convolution has the same bytes in batches of 1, 2, 3 and 5") {
  const auto one = cpu_backend(1);
  if (one == nullptr) return;
  const auto two = cpu_backend(2);
  struct Case {
    std::int64_t height, width, channels, out_channels;
  };
  for (const DType dtype : dtypes_of(*one)) {
    for (const Case& c : {Case{8, 8, 1280, 640}, Case{16, 12, 320, 320}, Case{9, 7, 640, 320},
                          Case{16, 16, 4, 320}, Case{16, 16, 320, 4}, Case{4, 4, 32, 64}}) {
      const std::int64_t size = c.height * c.width * c.channels;
      const auto x = numbers(5 * size, 5);
      const auto w = numbers(c.out_channels * c.channels * 9, 6);
      std::vector<std::uint8_t> all;
      for (const std::int64_t batch : {5, 1, 2, 3}) {
        for (Backend* backend : {one.get(), two.get()}) {
          INFO(name_of(dtype) << " " << c.channels << " to " << c.out_channels << ", batch "
                              << batch);
          Ops ops(*backend, dtype);
          const Weight weight = prepared(ops, w, {c.out_channels, c.channels, 3, 3},
                                         {.role = WeightRole::conv_kernel,
                                          .dtype = dtype,
                                          .stride = 1,
                                          .height = c.height,
                                          .width = c.width});
          const Tensor input =
              uploaded(ops, head(x, batch * size), {batch, c.height, c.width, c.channels});
          const Tensor y = ops.conv2d(
              input, weight, {.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1});
          const auto bytes = ops.begin_download(y)->take();
          if (all.empty()) all = bytes;
          CHECK(std::memcmp(all.data(), bytes.data(), bytes.size()) == 0);
        }
      }
    }
  }
}

TEST_CASE("oneDNN has a fast kernel for layers of few channels, never the reference one") {
  const auto backend = cpu_backend();
  if (backend == nullptr) return;
  auto& cpu = dynamic_cast<cpu::CpuBackend&>(*backend);
  for (const DType dtype : dtypes_of(*backend)) {
    Ops ops(*backend, dtype);
    // conv_in and conv_out of the UNet, and of the VAE's decoder.
    for (const auto& [in, out] :
         {std::pair<std::int64_t, std::int64_t>{4, 320}, {320, 4}, {4, 512}, {128, 3}}) {
      const Weight conv = prepared(ops, numbers(out * in * 9, 1), {out, in, 3, 3},
                                   {.role = WeightRole::conv_kernel, .dtype = dtype});
      const Tensor bias = ops.upload(numbers(out, 2), {out});
      for (const std::int64_t batch : {1, 2}) {
        const Tensor x = uploaded(ops, numbers(batch * 8 * 8 * in, 3), {batch, 8, 8, in});
        Ops::ConvParams params{.bias = bias,
                               .residual = {},
                               .stride = 1,
                               .pad_top = 1,
                               .pad_left = 1,
                               .pad_bottom = 1,
                               .pad_right = 1};
        params.residual = ops.conv2d(x, conv, params);
        static_cast<void>(ops.conv2d(x, conv, params));
      }
    }
  }
  REQUIRE_FALSE(cpu.onednn().implementations().empty());
  int brgemm = 0;
  for (const std::string& name : cpu.onednn().implementations()) {
    INFO(name);
    CHECK_FALSE(name.starts_with("ref"));
    CHECK_FALSE(name.starts_with("gemm"));
    const bool tiles = name.starts_with("jit:avx512_core_amx");
    if (name.starts_with("brgconv") || tiles) ++brgemm;
  }
  if (backend->numerics().find("avx512") != std::string::npos) {
    CHECK(brgemm == static_cast<int>(cpu.onednn().implementations().size()));
  }
}

TEST_CASE("a weight with NaN or infinity is refused with the element's number") {
  const auto backend = cpu_backend();
  if (backend == nullptr) return;
  Ops ops(*backend, DType::f32);
  std::vector<float> values(300 * 300, 0.5F);
  values[70001] = std::numeric_limits<float>::infinity();
  values[80000] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(prepared(ops, values, {300, 300}, {}),
                    Catch::Contains("non-finite value at element 70001"));
  const std::vector<std::uint16_t> halves = {0x3C00, 0x7BFF, 0xFC00, 0x0001};
  const StoredWeight f16{std::as_bytes(std::span(halves)), DType::f16, {2, 2}};
  CHECK_THROWS_WITH(ops.prepare({&f16, 1}, {}), Catch::Contains("element 2"));
  const StoredWeight bf16{std::as_bytes(std::span(halves)), DType::bf16, {2, 2}};
  CHECK_NOTHROW(ops.prepare({&bf16, 1}, {}));
  const std::vector<std::uint16_t> bad = {0x3C00, 0x7F80};
  const StoredWeight infinite{std::as_bytes(std::span(bad)), DType::bf16, {2, 1}};
  CHECK_THROWS_WITH(ops.prepare({&infinite, 1}, {.role = WeightRole::embedding}),
                    Catch::Contains("element 1"));
}

TEST_CASE("every half-precision weight is read exactly") {
  const auto backend = cpu_backend();
  if (backend == nullptr) return;
  Ops ops(*backend, DType::f32);
  std::vector<std::uint16_t> halves;
  std::vector<float> want;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7C00U) == 0x7C00U) continue;
    halves.push_back(static_cast<std::uint16_t>(bits));
    const auto mantissa = static_cast<float>(bits & 0x3FFU);
    const int exponent = static_cast<int>((bits >> 10) & 31U);
    const float magnitude =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024.0F + mantissa, exponent - 25);
    want.push_back((bits & 0x8000U) != 0 ? -magnitude : magnitude);
  }
  const auto count = static_cast<std::int64_t>(halves.size());
  const StoredWeight stored{std::as_bytes(std::span(halves)), DType::f16, {count, 1}};
  const WeightUse use{.role = WeightRole::embedding};
  const Weight tokens = ops.prepare({&stored, 1}, use);
  const Weight positions = prepared(ops, {0.0F}, {1, 1}, use);
  std::vector<std::int32_t> ids(halves.size());
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i);
  CHECK(ops.download(ops.embedding(ops.upload(ids, {count, 1}), tokens, positions)) == want);
}

TEST_CASE("a program replays what its ops give one by one") {
  const auto backend = cpu_backend();
  if (backend == nullptr) return;
  for (const DType dtype : dtypes_of(*backend)) {
    Ops ops(*backend, dtype);
    const Weight linear = prepared(ops, numbers(48 * 48, 1), {48, 48}, {.dtype = dtype});
    const Tensor x = uploaded(ops, numbers(2 * 30 * 48, 2), {2, 30, 48});
    const Tensor one = ops.upload(std::vector<float>(48, 1.0F), {48});
    const Tensor out = ops.make(DType::f32, {2, 30, 48});
    const auto body = [&] {
      const Tensor h = ops.layer_norm(x, one, one, 1e-5F);
      const Tensor q = ops.linear(h, linear, {});
      const Tensor a =
          ops.attention(q, h, x, {.heads = 3, .scale = 0.25F, .causal = true, .upcast = false});
      ops.copy(ops.linear(a, linear, {.bias = one, .residual = x}), out);
    };
    body();
    const auto want = ops.download(out);
    ops.write(std::vector<float>(want.size(), 0.0F), out);
    Program program = Program::record(ops, body);
    Arena arena(*backend);
    for (int i = 0; i < 2; ++i) {
      CHECK(program.run(*backend, arena));
      CHECK(ops.download(out) == want);
    }
  }
}

TEST_CASE("GELU and SiLU are exact to the last places on a dense grid") {
  const auto backend = cpu_backend();
  if (backend == nullptr) return;
  Ops ops(*backend, DType::f32);
  std::vector<float> x;
  for (int i = -400000; i <= 400000; ++i) x.push_back(static_cast<float>(i) * 2.5e-5F);
  const auto size = static_cast<std::int64_t>(x.size());
  const Tensor input = ops.upload(x, {size});
  const auto gelu = ops.download(ops.activation(input, Activation::gelu));
  const auto silu = ops.download(ops.activation(input, Activation::silu));
  double worst_gelu = 0;
  double worst_silu = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto v = static_cast<double>(x[i]);
    const double scale = std::max(1.0, std::abs(v));
    const double exact_gelu = v * (1 + std::erf(v / std::sqrt(2.0))) / 2;
    const double exact_silu = v / (1 + std::exp(-v));
    worst_gelu = std::max(worst_gelu, std::abs(static_cast<double>(gelu[i]) - exact_gelu) / scale);
    worst_silu = std::max(worst_silu, std::abs(static_cast<double>(silu[i]) - exact_silu) / scale);
  }
  CHECK(worst_gelu < 1.5e-7);
  CHECK(worst_silu < 1.5e-7);
}

TEST_CASE("what the CPU does not have is refused with its reason") {
  const auto backend = cpu_backend();
  if (backend == nullptr) return;
  CHECK_THROWS_WITH(Ops(*backend, DType::f16), Catch::Contains("f16"));
  if (backend->numerics().find("bf16") == std::string::npos) {
    CHECK_THROWS_WITH(Ops(*backend, DType::bf16), Catch::Contains("AVX512-BF16"));
  }
  CHECK_THROWS_AS(make_backend("tpu", {}), ConfigError);
  CHECK_THROWS_WITH(make_backend("cpu", {.threads = 0, .force_isa = "mmx", .device_index = 0}),
                    Catch::Contains("unknown instruction set \"mmx\""));
  // One process, one instruction set: oneDNN cannot change it.
  const std::string other = backend->numerics().find("cpu sse") == 0 ? "avx2" : "sse";
  CHECK_THROWS_AS(make_backend("cpu", {.threads = 0, .force_isa = other, .device_index = 0}),
                  ConfigError);
}

TEST_CASE("without a CUDA module the message says where it was looked for") {
  setenv("DIFFUSE_BATCH_CUDA_MODULE", "/nowhere/diffuse_cuda.so", 1);
  std::string why;
  CHECK_FALSE(cuda_available(&why));
  CHECK_THAT(why, Catch::Contains("/nowhere/diffuse_cuda.so"));
  try {
    static_cast<void>(make_backend("cuda", {}));
    FAIL("no error");
  } catch (const DeviceError& error) {
    CHECK(error.code() == ExitCode::no_device);
    CHECK_THAT(error.what(), Catch::Contains("/nowhere/diffuse_cuda.so"));
  }
  // A file that is no module.
  setenv("DIFFUSE_BATCH_CUDA_MODULE", "/dev/null", 1);
  CHECK_FALSE(cuda_available(&why));
  CHECK_THAT(why, Catch::Contains("cannot be opened"));
  unsetenv("DIFFUSE_BATCH_CUDA_MODULE");
}

}  // namespace diffuse::test
