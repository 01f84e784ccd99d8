#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/base/half.hpp"

namespace diffuse {
namespace {

TEST_CASE("every f16 becomes the float that its fields say", "[half]") {
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const auto exponent = static_cast<int>((bits >> 10U) & 0x1FU);
    const auto fraction = static_cast<double>(bits & 0x3FFU);
    const double sign = (bits & 0x8000U) != 0 ? -1.0 : 1.0;
    const float got = float_from_f16(static_cast<std::uint16_t>(bits));
    INFO(bits);
    if (exponent == 31 && fraction != 0) {
      REQUIRE(std::isnan(got));
      continue;
    }
    const double want = exponent == 31  ? std::numeric_limits<double>::infinity()
                        : exponent == 0 ? std::ldexp(fraction, -24)
                                        : std::ldexp(1.0 + fraction / 1024.0, exponent - 15);
    REQUIRE(static_cast<double>(got) == sign * want);
    REQUIRE(std::signbit(got) == (sign < 0));
  }
}

TEST_CASE("bf16 rounds to the nearest, ties to even, and keeps NaN and infinity", "[half]") {
  CHECK(bf16_from_float(1.0F) == 0x3F80);
  CHECK(bf16_from_float(1.00390625F) == 0x3F80);  // halfway between 1 and the next: to even
  CHECK(bf16_from_float(1.01171875F) == 0x3F82);  // halfway, the upper one is even
  CHECK(bf16_from_float(std::nextafter(1.00390625F, 2.0F)) == 0x3F81);
  CHECK(bf16_from_float(-0.0F) == 0x8000);
  CHECK(bf16_from_float(std::numeric_limits<float>::max()) == 0x7F80);
  CHECK(bf16_from_float(std::numeric_limits<float>::infinity()) == 0x7F80);
  CHECK(std::isnan(float_from_bf16(bf16_from_float(std::nanf("")))));
  CHECK(float_from_bf16(0x0001) == std::ldexp(1.0F, -133));  // the smallest subnormal
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const float value = float_from_bf16(static_cast<std::uint16_t>(bits));
    if (!std::isnan(value)) REQUIRE(bf16_from_float(value) == bits);
  }
}

}  // namespace
}  // namespace diffuse
