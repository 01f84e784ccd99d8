#include <catch2/catch.hpp>
#include <cstdint>
#include <vector>

#include "core/base/error.hpp"
#include "kernels/plans/plan_agreement.hpp"

namespace diffuse::test {
namespace {

using Bits = std::vector<std::uint16_t>;

std::string difference(const Bits& output, const Bits& trusted, DType dtype) {
  return disagreement(std::as_bytes(std::span(output)), std::as_bytes(std::span(trusted)), dtype);
}

}  // namespace

TEST_CASE("two units in the last place of the largest value are rounding, more are not") {
  // f16: 1 is 0x3C00, its last place 1/1024; bf16: 1 is 0x3F80, its last place 1/128.
  CHECK(difference({0x3C00, 0, 0x3800}, {0x3C00, 0, 0x3800}, DType::f16).empty());
  CHECK(difference({0x3C02, 0, 0x3800}, {0x3C00, 0, 0x3800}, DType::f16).empty());
  CHECK(difference({0x3C03, 0, 0x3800}, {0x3C00, 0, 0x3800}, DType::f16) ==
        "value 0 is 1.002930 and should be 1.000000 within 0.001953");
  CHECK(difference({0x3F82, 0xBF82}, {0x3F80, 0xBF80}, DType::bf16).empty());
  CHECK_FALSE(difference({0x3F83, 0xBF80}, {0x3F80, 0xBF80}, DType::bf16).empty());
  CHECK_FALSE(difference({0x3F80, 0xBF83}, {0x3F80, 0xBF80}, DType::bf16).empty());
  // The last place is the largest value's, on either side of zero: 1/2 is 0x3800 in f16.
  CHECK(difference({0x3C00, 0x3804}, {0x3C00, 0x3800}, DType::f16).empty());
  CHECK(difference({0xBC00, 0x3804}, {0xBC00, 0x3800}, DType::f16).empty());
  CHECK_FALSE(difference({0x3C00, 0x3805}, {0x3C00, 0x3800}, DType::f16).empty());
}

TEST_CASE("what is not finite agrees with nothing") {
  for (const std::uint16_t bad : Bits{0x7E00, 0xFFFF, 0x7C00, 0xFC00}) {
    CHECK_FALSE(difference({0x3C00, bad}, {0x3C00, 0x3C00}, DType::f16).empty());
    CHECK_FALSE(difference({0x3C00, bad}, {0x3C00, bad}, DType::f16).empty());
    CHECK_FALSE(difference({bad, 0x3C00}, {bad, 0x3C00}, DType::f16).empty());
  }
}

TEST_CASE("outputs that have nothing to do with each other are not compared") {
  CHECK_THROWS_AS(difference({0}, {0, 0}, DType::f16), DeviceError);
  CHECK_THROWS_AS(difference({0, 0}, {0, 0}, DType::f32), DeviceError);
}

}  // namespace diffuse::test
