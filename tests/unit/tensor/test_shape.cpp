#include <catch2/catch.hpp>

#include "core/base/error.hpp"
#include "core/tensor/shape.hpp"

namespace diffuse {

TEST_CASE("a shape counts its elements and rows") {
  const Shape shape = {2, 3, 5, 7};
  CHECK(shape.rank() == 4);
  CHECK(shape.elements() == 210);
  CHECK(shape.rows() == 30);
  CHECK(shape[1] == 3);
  CHECK(shape.back() == 7);
  CHECK(shape.back(3) == 2);
  CHECK(shape.str() == "[2, 3, 5, 7]");
  CHECK(Shape{}.elements() == 1);
  CHECK(Shape{}.str() == "[]");
  CHECK(Shape({4, 0, 3}).elements() == 0);
  CHECK(Shape({5}).rows() == 1);
}

TEST_CASE("a shape changes one dimension and compares by value") {
  const Shape shape = {2, 3, 5};
  CHECK(shape.with_back(9) == Shape({2, 3, 9}));
  CHECK(shape.with_front(9) == Shape({9, 3, 5}));
  CHECK(shape == Shape({2, 3, 5}));
  CHECK_FALSE(shape == Shape({2, 3}));
  CHECK_FALSE(Shape({2, 0}) == Shape({2}));
}

TEST_CASE("impossible shapes are refused") {
  const std::int64_t big = std::int64_t{1} << 40;
  CHECK_THROWS_AS(Shape({1, 2, 3, 4, 5}), ShapeError);
  CHECK_THROWS_AS(Shape({3, -1}), ShapeError);
  CHECK_THROWS_AS(Shape({big, big}), ShapeError);
  CHECK_THROWS_AS(Shape({1, big, 512}), ShapeError);
  CHECK_NOTHROW(Shape({big, 256}));
  CHECK_THROWS_AS(Shape({2, 3}).with_back(-1), ShapeError);
  CHECK_THROWS_AS(Shape({big, 3}).with_back(big), ShapeError);
}

}  // namespace diffuse
