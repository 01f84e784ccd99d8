#include <catch2/catch.hpp>
#include <numeric>

#include "core/base/error.hpp"
#include "core/tensor/tensor.hpp"

namespace diffuse {
namespace {

// A tensor of 0, 1, 2, ...
struct Numbered {
  std::vector<float> values;
  Tensor tensor;
  explicit Numbered(const Shape& shape) : values(static_cast<std::size_t>(shape.elements())) {
    std::iota(values.begin(), values.end(), 0.0F);
    auto storage = std::make_shared<Storage>();
    storage->data = reinterpret_cast<std::byte*>(values.data());
    storage->bytes = values.size() * sizeof(float);
    tensor = Tensor(storage, DType::f32, shape);
  }
};

}  // namespace

TEST_CASE("an empty tensor stands for an absent operand") {
  CHECK(Tensor().empty());
  CHECK_FALSE(Numbered({2, 3}).tensor.empty());
}

TEST_CASE("columns are a strided view") {
  const Numbered n({2, 3, 10});
  const Tensor view = n.tensor.columns(4, 7);
  CHECK(view.shape() == Shape({2, 3, 3}));
  CHECK(view.row_stride() == 10);
  CHECK_FALSE(view.contiguous());
  CHECK(view.bytes() == 2 * 3 * 3 * sizeof(float));
  CHECK(view.data<float>()[0] == 4.0F);
  CHECK(view.data<float>()[5 * view.row_stride() + 2] == 56.0F);
  CHECK(view.columns(1, 2).data<float>()[0] == 5.0F);
}

TEST_CASE("a view of one row or of all columns is contiguous") {
  CHECK(Numbered({1, 10}).tensor.columns(2, 5).contiguous());
  CHECK(Numbered({4, 10}).tensor.columns(0, 10).contiguous());
}

TEST_CASE("front takes entries of the first dimension") {
  const Numbered n({4, 3, 10});
  const Tensor view = n.tensor.front(1, 3);
  CHECK(view.shape() == Shape({2, 3, 10}));
  CHECK(view.contiguous());
  CHECK(view.data<float>()[0] == 30.0F);
  const Tensor strided = n.tensor.columns(2, 5).front(2, 4);
  CHECK(strided.data<float>()[0] == 62.0F);
  CHECK(strided.row_stride() == 10);
  CHECK(n.tensor.front(2, 2).shape().elements() == 0);
}

TEST_CASE("reshape keeps the elements and the rows of strided views") {
  const Numbered n({4, 3, 10});
  CHECK(n.tensor.reshape({6, 20}).row_stride() == 20);
  const Tensor view = n.tensor.columns(2, 5);
  CHECK(view.reshape({12, 3}).row_stride() == 10);
  CHECK(view.reshape({2, 2, 3, 3}).shape() == Shape({2, 2, 3, 3}));
  CHECK_THROWS_AS(view.reshape({6, 6}), ShapeError);
  CHECK_THROWS_AS(n.tensor.reshape({4, 3, 9}), ShapeError);
}

TEST_CASE("views outside of a tensor are refused") {
  const Numbered n({4, 3, 10});
  CHECK_THROWS_AS(n.tensor.columns(-1, 3), ShapeError);
  CHECK_THROWS_AS(n.tensor.columns(3, 11), ShapeError);
  CHECK_THROWS_AS(n.tensor.columns(5, 4), ShapeError);
  CHECK_THROWS_AS(n.tensor.front(0, 5), ShapeError);
  CHECK_THROWS_AS(n.tensor.front(-1, 2), ShapeError);
  CHECK_THROWS_AS(Numbered({5}).tensor.front(0, 1), ShapeError);
}

}  // namespace diffuse
