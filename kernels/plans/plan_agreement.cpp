#include "kernels/plans/plan_agreement.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/half.hpp"

namespace diffuse {
namespace {

constexpr float kUnits = 2;

float value_at(std::span<const std::byte> halves, std::size_t i, DType dtype) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, halves.data() + 2 * i, 2);
  return dtype == DType::f16 ? float_from_f16(bits) : float_from_bf16(bits);
}

}  // namespace

std::string disagreement(std::span<const std::byte> output, std::span<const std::byte> trusted,
                         DType dtype) {
  if ((dtype != DType::f16 && dtype != DType::bf16) || output.size() != trusted.size()) {
    throw DeviceError("outputs of kernels that cannot be compared", ExitCode::bug);
  }
  const std::size_t count = trusted.size() / 2;
  float largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::abs(value_at(trusted, i, dtype)));
  }
  const float allowed = kUnits * largest / (dtype == DType::f16 ? 1024.0F : 128.0F);
  for (std::size_t i = 0; i < count; ++i) {
    const float got = value_at(output, i, dtype), want = value_at(trusted, i, dtype);
    if (std::abs(got - want) <= allowed) continue;  // not so for NaN
    return "value " + std::to_string(i) + " is " + std::to_string(got) + " and should be " +
           std::to_string(want) + " within " + std::to_string(allowed);
  }
  return {};
}

}  // namespace diffuse
