#include <array>
#include <catch2/catch.hpp>
#include <cstddef>

#include "kernels/plans/plan_shapes.hpp"

namespace diffuse::test {
namespace {

// A tensor at `address`, which is never followed; null: recorded, not placed.
Tensor tensor_at(std::byte* address, const Shape& shape, DType dtype = DType::f16) {
  auto storage = std::make_shared<Storage>();
  storage->data = address;
  storage->bytes = static_cast<std::size_t>(shape.elements()) * size_of(dtype);
  return {storage, dtype, shape};
}
Tensor recorded(const Shape& shape, DType dtype = DType::f16) {
  return tensor_at(nullptr, shape, dtype);
}
Weight weight(const Shape& shape) { return {shape, {}, nullptr}; }

}  // namespace

TEST_CASE("a convolution's plan is that of its canonical batch") {
  Conv2dOp op;
  op.x = recorded({3, 64, 32, 320});
  op.weight = weight({640, 320, 3, 1});
  op.bias = recorded({640}, DType::f32);
  op.stride = 2;
  op.pad_top = 1;
  op.pad_left = 0;
  op.pad_bottom = 2;
  op.pad_right = 3;
  op.y = recorded({3, 33, 17, 640});
  ConvolutionShape want;
  want.batch = 3;
  want.height = 64;
  want.width = 32;
  want.channels = 320;
  want.out_channels = 640;
  want.kernel_height = 3;
  want.kernel_width = 1;
  want.stride = 2;
  want.pad_top = 1;
  want.pad_left = 0;
  want.pad_bottom = 2;
  want.pad_right = 3;
  want.bias = true;
  CHECK(shape_of(op) == want);
  want.batch = kCanonicalBatch;
  CHECK(shape_of(op).canonical() == want);
  // Both are added in a later pass.
  op.residual = recorded({3, 33, 17, 640});
  CHECK_FALSE(shape_of(op).bias);
}

TEST_CASE("a linear layer's plan is that of the canonical batch's rows, whatever the batch") {
  const auto shape_for = [](std::int64_t pictures, Activation activation) {
    LinearOp op;
    op.x = recorded({pictures, 4096, 320});
    op.weight = weight({960, 320});
    op.residual = recorded({pictures, 4096, 960});
    op.activation = activation;
    op.y = recorded({pictures, 4096, 960});
    return shape_of(op);
  };
  const LinearShape shape = shape_for(2, Activation::none);
  CHECK(shape.rows == 8192);
  CHECK(shape.residual);
  CHECK(shape.residual_stride == 960);
  CHECK(shape.canonical().rows == kCanonicalBatch * 4096);
  CHECK(shape.canonical() == shape_for(5, Activation::none).canonical());
  // After an activation the residual is added in a later pass.
  CHECK_FALSE(shape_for(2, Activation::silu).residual);
}

TEST_CASE("a view's rows and address decide how a linear layer may be read") {
  alignas(64) static std::array<std::byte, 64> memory{};
  LinearOp op;
  op.x = recorded({2, 77, 960}).columns(320, 640);
  op.weight = weight({320, 320});
  op.y = recorded({2, 77, 320});
  CHECK(shape_of(op).x_stride == 960);
  CHECK(shape_of(op).alignment == 16);
  op.x = tensor_at(memory.data(), {2, 77, 320});
  op.y = tensor_at(memory.data(), {2, 77, 320});
  CHECK(shape_of(op).alignment == 16);
  op.x = tensor_at(memory.data() + 4, {2, 77, 320});
  CHECK(shape_of(op).alignment == 4);
  op.x = recorded({2, 77, 33});
  op.weight = weight({320, 33});
  CHECK(shape_of(op).alignment == 2);
  CHECK(shape_of(op).canonical().alignment == 2);
}

TEST_CASE("attention's plan knows the strides of packed rows") {
  AttentionOp op;
  const Tensor packed = recorded({2, 1024, 1920});
  op.q = packed.columns(0, 640);
  op.k = packed.columns(640, 1280);
  op.v = packed.columns(1280, 1920);
  op.heads = 8;
  op.y = recorded({2, 1024, 640});
  const AttentionShape shape = shape_of(op);
  CHECK(shape.batch == 2);
  CHECK(shape.heads == 8);
  CHECK(shape.head_dim == 80);
  CHECK(shape.queries == 1024);
  CHECK(shape.keys == 1024);
  CHECK(shape.q_stride == 1920);
  CHECK(shape.k_stride == 1920);
  CHECK(shape.v_stride == 1920);
  CHECK(shape.y_stride == 640);
  CHECK(shape.canonical().batch == kCanonicalBatch);
  CHECK(shape.canonical().keys == 1024);
  CHECK(canonical_shape_of(Op(op)) == PlanShape(shape.canonical()));
  CHECK(canonical_shape_of(Op(GegluOp{})) == std::nullopt);
}

}  // namespace diffuse::test
