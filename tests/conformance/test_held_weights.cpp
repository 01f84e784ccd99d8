#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <iostream>

#include "core/base/error.hpp"
#include "kernels/make_backend.hpp"
#include "tests/conformance/device.hpp"

// Weights that a file has as halves are held as such where products are in f32. Widening is exact,
// so the same values stored as f32 give the same bytes.
namespace diffuse::test {
namespace {

std::unique_ptr<Device> device_here() {
  try {
    return std::make_unique<Device>(
        make_backend("cpu", {.threads = 2, .force_isa = {}, .device_index = 0}), DType::f32);
  } catch (const ConfigError& error) {
    std::cout << "not run: " << error.what() << "\n";
    return nullptr;
  }
}

// What `run` gives with weights stored in f32, beside each of the narrow dtypes.
template <class Run>
void check_same_bytes(Device& device, const Shape& shape, const WeightUse& use, const Run& run) {
  for (const DType stored : {DType::f16, DType::bf16}) {
    const Array values = random_array(shape, stored, 7, 0.25);
    const auto bytes_with = [&](DType dtype) {
      return device.bytes(run(device.prepare(values, use, dtype)));
    };
    INFO(name_of(stored) << " " << shape.str());
    CHECK(bytes_with(stored) == bytes_with(DType::f32));
  }
}

Tensor convolved(Device& device, const Weight& weight, std::int64_t size) {
  const Array x = random_array({1, size, size, weight.shape[1]}, DType::f32, 3);
  return device.ops().conv2d(device.put(x, {0, 1}), weight,
                             {.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1});
}

}  // namespace

TEST_CASE("linear layers with narrow weights give the bytes of the same in f32") {
  const auto device = device_here();
  if (device == nullptr) return;
  Ops& ops = device->ops();
  // One piece of depth and several; whole panels and parts of one; more rows than a strip.
  for (const auto& [rows, in, out] :
       {std::array<std::int64_t, 3>{530, 96, 160}, {7, 1301, 45}, {40, 1301, 45}}) {
    const Tensor x = device->put(random_array({1, rows, in}, DType::f32, 3), {0, 1});
    check_same_bytes(*device, {out, in}, {}, [&](const Weight& weight) {
      return ops.linear(x, weight, {.activation = Activation::silu});
    });
  }
}

TEST_CASE("gated layers with narrow weights give the bytes of the same in f32") {
  const auto device = device_here();
  if (device == nullptr) return;
  const Tensor x = device->put(random_array({1, 270, 700}, DType::f32, 3), {0, 1});
  const Tensor bias = device->put(random_array({896}, DType::f32, 5), {0, 896});
  check_same_bytes(*device, {896, 700}, {}, [&](const Weight& weight) {
    CHECK(device->backend().fuses_geglu(weight));
    return device->ops().linear_geglu(x, weight, bias);
  });
}

TEST_CASE("convolutions with narrow weights give the bytes of the same in f32") {
  const auto device = device_here();
  if (device == nullptr) return;
  // By Winograd and on panels, with the layout that was made first or the other one; few inputs;
  // few outputs.
  for (const std::int64_t guessed : {32, 8}) {
    for (const std::int64_t size : {32, 8}) {
      const WeightUse use{.role = WeightRole::conv_kernel, .height = guessed, .width = guessed};
      check_same_bytes(*device, {72, 96, 3, 3}, use,
                       [&](const Weight& weight) { return convolved(*device, weight, size); });
    }
  }
  for (const Shape& shape : {Shape{64, 4, 3, 3}, Shape{3, 64, 3, 3}}) {
    check_same_bytes(*device, shape, {.role = WeightRole::conv_kernel},
                     [&](const Weight& weight) { return convolved(*device, weight, 16); });
  }
}

TEST_CASE("a table of narrow rows gives the bytes of the same in f32") {
  const auto device = device_here();
  if (device == nullptr) return;
  const Weight positions = device->prepare(random_array({4, 20}, DType::f32, 9),
                                           {.role = WeightRole::embedding}, DType::f32);
  const Tensor ids = device->put_ints({0, 49, 17, 3}, {1, 4});
  check_same_bytes(*device, {50, 20}, {.role = WeightRole::embedding}, [&](const Weight& tokens) {
    return device->ops().embedding(ids, tokens, positions);
  });
}

TEST_CASE("parts of several dtypes are stacked exactly") {
  const auto device = device_here();
  if (device == nullptr) return;
  constexpr std::int64_t kIn = 40;
  const std::vector<std::uint16_t> halves(8 * kIn, 0x3555);  // 0.333251953125 as f16
  const std::vector<float> floats(16 * kIn, 0x1.554p-2F);    // the same
  const auto narrow = std::as_bytes(std::span(halves));
  const auto wide = std::as_bytes(std::span(floats));
  const StoredWeight f16{narrow, DType::f16, {8, kIn}};
  const StoredWeight f32{wide.first(8 * kIn * sizeof(float)), DType::f32, {8, kIn}};
  const Tensor x = device->put(random_array({5, kIn}, DType::f32, 3), {0, 5});
  const auto bytes_of = [&](std::span<const StoredWeight> parts) {
    return device->bytes(device->ops().linear(x, device->ops().prepare(parts, {}), {}));
  };
  const StoredWeight whole{wide, DType::f32, {16, kIn}};
  const std::vector<std::uint8_t> want = bytes_of({&whole, 1});
  CHECK(bytes_of(std::array{f16, f16}) == want);
  CHECK(bytes_of(std::array{f16, f32}) == want);
  CHECK(bytes_of(std::array{f32, f16}) == want);
}

}  // namespace diffuse::test
