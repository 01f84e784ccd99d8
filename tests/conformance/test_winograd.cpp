#include <catch2/catch.hpp>
#include <cmath>
#include <iostream>

#include "core/base/error.hpp"
#include "kernels/make_backend.hpp"
#include "tests/conformance/device.hpp"
#include "tests/reference/layers.hpp"

// What Winograd costs in accuracy, beside direct convolution on the same backend.
namespace diffuse::test {
namespace {

struct Errors {
  double direct = 0;
  double winograd = 0;
};

// Root mean square errors of one convolution done in both ways.
Errors errors_of(Device& device, const Array& x, const Array& kernel, const Array& want) {
  const auto error_with_hint = [&](std::int64_t height, const char* method) {
    const WeightUse use{.role = WeightRole::conv_kernel,
                        .dtype = device.dtype(),
                        .stride = 1,
                        .height = height,
                        .width = height};
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
  };
  return {error_with_hint(4, "direct"), error_with_hint(x.shape[1], "winograd")};
}

}  // namespace

TEST_CASE("Winograd's error is at most twice that of direct convolution") {
  std::unique_ptr<Backend> backend;
  try {
    backend = make_backend("cpu", {.threads = 2, .force_isa = {}, .device_index = 0});
  } catch (const ConfigError& error) {
    std::cout << "not run: " << error.what() << "\n";
    return;
  }
  for (const DType dtype : {DType::f32, DType::bf16}) {
    if (!backend->refuses(dtype).empty()) continue;
    Device device(make_backend("cpu", {.threads = 2, .force_isa = {}, .device_index = 0}), dtype);
    // Channels of the UNet's first level and of the VAE's last one; a mean far from zero as well.
    for (const auto& [channels, offset] : {std::pair{320, 0.0}, {128, 0.0}, {128, 3.0}}) {
      const Array x = random_array({1, 32, 32, channels}, dtype, 1, 1.0, offset);
      const Array kernel =
          random_array({128, channels, 3, 3}, dtype, 2, 1 / std::sqrt(9.0 * channels));
      const Errors errors =
          errors_of(device, x, kernel, reference::conv2d(x, kernel, {}, {}, {1, 1, 1, 1, 1}));
      INFO(name_of(dtype) << ", " << channels << " channels, mean " << offset << ": direct "
                          << errors.direct << ", Winograd " << errors.winograd);
      CHECK(errors.winograd <= 2 * errors.direct);
    }
  }
}

}  // namespace diffuse::test
