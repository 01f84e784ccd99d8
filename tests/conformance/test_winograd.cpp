#include <catch2/catch.hpp>
#include <cmath>
#include <iostream>
#include <vector>

#include "core/base/error.hpp"
#include "kernels/make_backend.hpp"
#include "tests/conformance/device.hpp"
#include "tests/reference/layers.hpp"

// What Winograd costs in accuracy, beside direct convolution.
namespace diffuse::test {
namespace {

// Root mean square error of one convolution.
double error_of(Device& device, const Array& x, const Array& kernel, const Array& want,
                const char* method) {
  const WeightUse use{.role = WeightRole::conv_kernel,
                      .dtype = device.dtype(),
                      .stride = 1,
                      .height = x.shape[1],
                      .width = x.shape[2]};
  Conv2dOp op;
  op.x = device.put(x, {0, x.shape[0]});
  op.weight = device.prepare(kernel, use, device.dtype());
  op.pad_top = op.pad_left = op.pad_bottom = op.pad_right = 1;
  op.y = device.ops().make(device.dtype(), want.shape);
  CHECK(device.backend().method_of(op) == method);
  device.backend().execute(op);
  const std::vector<double> got = device.values(op.y);
  double squares = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    squares += (got[i] - want.values[i]) * (got[i] - want.values[i]);
  }
  return std::sqrt(squares / static_cast<double>(got.size()));
}

// The same of sums of multiply-adds in f32, one after the other: pixels of the kernel, channels. Of
// some of the pixels.
double plain_error(const Array& x, const Array& kernel, const Array& want) {
  const std::int64_t height = x.shape[1], width = x.shape[2], channels = x.shape[3];
  const std::int64_t outs = want.shape[3];
  const auto at = [](const Array& array, std::int64_t index) {
    return static_cast<float>(array.values[static_cast<std::size_t>(index)]);
  };
  double squares = 0;
  std::int64_t values = 0;
  for (std::int64_t p = 0; p < height * width; p += width - 1) {
    std::vector<float> sums(static_cast<std::size_t>(outs));
    for (std::int64_t tap = 0; tap < 9; ++tap) {
      const std::int64_t h = p / width + tap / 3 - 1, w = p % width + tap % 3 - 1;
      if (h < 0 || h >= height || w < 0 || w >= width) continue;
      for (std::int64_t c = 0; c < channels; ++c) {
        const float value = at(x, (h * width + w) * channels + c);
        for (std::int64_t o = 0; o < outs; ++o) {
          float& sum = sums[static_cast<std::size_t>(o)];
          sum = std::fma(value, at(kernel, (o * channels + c) * 9 + tap), sum);
        }
      }
    }
    for (std::int64_t o = 0; o < outs; ++o) {
      const double wanted = want.values[static_cast<std::size_t>(p * outs + o)];
      const double error = sums[static_cast<std::size_t>(o)] - wanted;
      squares += error * error;
    }
    values += outs;
  }
  return std::sqrt(squares / static_cast<double>(values));
}

std::unique_ptr<Backend> cpu(bool lean) {
  return make_backend("cpu", {.threads = 2, .force_isa = {}, .lean = lean, .device_index = 0});
}

// Are direct convolutions so fast that there is no Winograd?
bool on_tiles(const Backend& backend, DType dtype) {
  return dtype == DType::bf16 && backend.numerics().find("cpu amx_bf16") == 0;
}

// The dtypes that can be tested on this machine; why none, if none can.
std::vector<DType> dtypes_here() {
  std::vector<DType> dtypes;
  try {
    const std::unique_ptr<Backend> backend = cpu(false);
    for (const DType dtype : {DType::f32, DType::bf16}) {
      if (backend->refuses(dtype).empty() && !on_tiles(*backend, dtype)) dtypes.push_back(dtype);
    }
  } catch (const ConfigError& error) {
    std::cout << "not run: " << error.what() << "\n";
  }
  return dtypes;
}

}  // namespace

TEST_CASE("Winograd's error is at most twice that of direct convolution") {
  for (const DType dtype : dtypes_here()) {
    Device device(cpu(false), dtype);
    Device lean(cpu(true), dtype);
    // Channels of the UNet's first level and of the VAE's last one; a mean far from zero as well.
    for (const auto& [channels, offset] : {std::pair{320, 0.0}, {128, 0.0}, {128, 3.0}}) {
      const Array x = random_array({1, 32, 32, channels}, dtype, 1, 1.0, offset);
      const Array kernel =
          random_array({128, channels, 3, 3}, dtype, 2, 1 / std::sqrt(9.0 * channels));
      const Array want = reference::conv2d(x, kernel, {}, {}, {1, 1, 1, 1, 1});
      double direct = error_of(lean, x, kernel, want, "direct");
      const double winograd = error_of(device, x, kernel, want, "winograd");
      if (dtype == DType::f32) {  // direct convolution may be better than that, on a tile unit
        const double plain = plain_error(x, kernel, want);
        CHECK(direct <= 1.1 * plain);
        direct = plain;
      }
      INFO(name_of(dtype) << ", " << channels << " channels, mean " << offset << ": direct "
                          << direct << ", Winograd " << winograd);
      CHECK(winograd <= 2 * direct);
    }
  }
}

TEST_CASE("On tiles bf16 is never convolved by Winograd") {
  try {
    if (!on_tiles(*cpu(false), DType::bf16)) return;
  } catch (const ConfigError&) {
    return;
  }
  Device device(cpu(false), DType::bf16);
  const Array x = random_array({1, 32, 32, 128}, DType::bf16, 1);
  const Array kernel = random_array({128, 128, 3, 3}, DType::bf16, 2, 0.03);
  const Array want = reference::conv2d(x, kernel, {}, {}, {1, 1, 1, 1, 1});
  CHECK(error_of(device, x, kernel, want, "direct") < 2e-3);
}

TEST_CASE("A picture's bytes do not depend on the size that its kernels were prepared for") {
  for (const DType dtype : dtypes_here()) {
    // 130 and 514 channels: panels and ranges that are not full.
    for (const std::int64_t out : {std::int64_t{130}, std::int64_t{514}}) {
      const Array kernel = random_array({out, 128, 3, 3}, dtype, 2, 0.03);
      const auto run = [&](Device& device, const Weight& weight, std::int64_t side) {
        Conv2dOp op;
        op.x = device.put(random_array({1, side, side, 128}, dtype, 1), {0, 1});
        op.weight = weight;
        op.pad_top = op.pad_left = op.pad_bottom = op.pad_right = 1;
        op.y = device.ops().make(dtype, {1, side, side, out});
        CHECK(device.backend().method_of(op) == (side > 4 ? "winograd" : "direct"));
        device.backend().execute(op);
        return device.bytes(op.y);
      };
      const auto prepared = [&](Device& device, std::int64_t side) {
        return device.prepare(kernel,
                              {.role = WeightRole::conv_kernel,
                               .dtype = dtype,
                               .stride = 1,
                               .height = side,
                               .width = side},
                              dtype);
      };
      Device device(cpu(false), dtype);
      const Weight for_small = prepared(device, 4), for_large = prepared(device, 32);
      const auto small = run(device, for_small, 4), large = run(device, for_large, 32);
      // Each form from the other, and back.
      for (int turn = 0; turn < 2; ++turn) {
        CHECK(run(device, for_small, 32) == large);
        CHECK(run(device, for_large, 4) == small);
        CHECK(run(device, for_small, 4) == small);
        CHECK(run(device, for_large, 32) == large);
      }
    }
  }
}

}  // namespace diffuse::test
