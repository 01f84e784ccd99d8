#include "tests/cuda_on_host/kernel_checks.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "core/base/half.hpp"
#include "tests/support/compare.hpp"

namespace diffuse::test {
namespace {

constexpr double kUlpF16 = 1.0 / 1024;

std::vector<double> values(Device& device, const Tensor& tensor) {
  if (tensor.dtype() != DType::f16) return device.values(tensor);
  const std::vector<std::uint8_t> raw = device.bytes(tensor);
  std::vector<double> out(raw.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, raw.data() + 2 * i, 2);
    out[i] = static_cast<double>(float_from_f16(bits));
  }
  return out;
}

}  // namespace

std::vector<Check> cuda_checks(DType dtype) {
  std::vector<Check> checks;
  for (auto* list :
       {layer_checks, norm_checks, attention_checks, movement_checks, scheduler_checks}) {
    for (Check& check : list(dtype)) {
      if (dtype == DType::f16 && check.op == "pixels") continue;
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

Tolerance cuda_tolerance(const std::string& op, DType dtype, bool libraries) {
  const double unit = dtype == DType::f32 ? kUlpF32 : dtype == DType::f16 ? kUlpF16 : kUlpBf16;
  // Half a unit of the product, which may be larger than the result, then half a unit of that.
  if (libraries && dtype != DType::f32 && (op == "linear" || op == "conv2d")) return {unit, unit};
  if (dtype == DType::f16 && op == "linear_geglu") return {unit, 4 * unit};
  if (dtype != DType::f16) return tolerance_of(op, dtype);
  // As bf16's rows: a rounded result, and for attention probabilities rounded to f16.
  if (op == "linear" || op == "conv2d") return {4e-6, unit};
  if (op == "group_norm" || op == "layer_norm") return {1e-6, 4 * unit};
  if (op == "attention") return {5e-4, unit};
  if (op == "geglu" || op == "activation") return {2e-7, 4 * unit};
  if (op == "embedding" || op == "scale_input" || op == "copy") return {0, unit};
  return tolerance_of(op, DType::f32);
}

void check_values(Device& device, const Check& check, bool libraries) {
  const Array want = check.want();
  double largest = 0;
  for (const double v : want.values) largest = std::max(largest, std::abs(v));
  const Tolerance allowed = cuda_tolerance(check.op, device.dtype(), libraries);
  const auto got = values(device, check.run(device, {0, check.entries}));
  const Comparison result =
      compare(std::span<const double>(got), std::span<const double>(want.values),
              allowed.of_largest * largest, allowed.of_value);
  INFO(result.what);
  CHECK(result.ok);
}

void check_neighbours(Device& device, const Check& check) {
  const auto batch = device.bytes(check.run(device, {0, check.entries}));
  std::vector<std::uint8_t> single;
  for (std::int64_t n = 0; n < check.entries; ++n) {
    const auto bytes = device.bytes(check.run(device, {n, n + 1}));
    single.insert(single.end(), bytes.begin(), bytes.end());
  }
  CHECK(batch == single);
}

}  // namespace diffuse::test
