#include <catch2/catch.hpp>

#include "core/tensor/decorators.hpp"
#include "core/tensor/program.hpp"
#include "core/tensor/shape_backend.hpp"

namespace diffuse {

TEST_CASE("costs count two operations a multiply-add, and each byte once") {
  ShapeBackend backend;
  Ops ops(backend, DType::bf16);
  const Weight linear{{5, 8}, {.dtype = DType::bf16}, nullptr};
  const Weight kernel{
      {6, 4, 3, 3}, {.role = WeightRole::conv_kernel, .dtype = DType::bf16}, nullptr};
  const auto x = ops.make(DType::bf16, {2, 3, 8});
  const auto picture = ops.make(DType::bf16, {2, 7, 9, 4});
  const auto k = ops.make(DType::bf16, {2, 11, 8});
  const Program program = Program::record(ops, [&] {
    static_cast<void>(ops.linear(x, linear, {}));
    static_cast<void>(ops.conv2d(picture, kernel, {}));
    static_cast<void>(
        ops.attention(x, k, k, {.heads = 2, .scale = 1, .causal = false, .upcast = false}));
  });
  const OpCost a = cost_of(program.ops()[0]);
  CHECK(a.flops == 2.0 * 6 * 5 * 8);
  CHECK(a.activation_bytes == 2.0 * (48 + 30));
  CHECK(a.weight_bytes == 2.0 * 40);
  const OpCost b = cost_of(program.ops()[1]);
  CHECK(b.flops == 2.0 * (2 * 5 * 7) * (6 * 4 * 3 * 3));
  CHECK(b.weight_bytes == 2.0 * 216);
  const OpCost c = cost_of(program.ops()[2]);
  CHECK(c.flops == 4.0 * 2 * 3 * 11 * 8);
  CHECK(c.weight_bytes == 0);
}

TEST_CASE("every op has its name") {
  CHECK(name_of(Op(EmbeddingOp{})) == "embedding");
  CHECK(name_of(Op(Conv2dOp{})) == "conv2d");
  CHECK(name_of(Op(AttentionOp{})) == "attention");
  CHECK(name_of(Op(UpsampleNearestOp{})) == "upsample_nearest");
  CHECK(name_of(Op(SchedulerStepOp{})) == "scheduler_step");
  CHECK(name_of(Op(PixelsOp{})) == "pixels");
}

TEST_CASE("labels tell apart what costs differently") {
  ShapeBackend backend;
  Ops ops(backend, DType::f32);
  const Weight kernel{{6, 4, 3, 3}, {.role = WeightRole::conv_kernel}, nullptr};
  const Weight pointwise{{6, 4, 1, 1}, {.role = WeightRole::conv_kernel}, nullptr};
  const auto x = ops.make(DType::f32, {2, 7, 9, 4});
  const auto q = ops.make(DType::f32, {2, 5, 12});
  const auto k = ops.make(DType::f32, {2, 11, 12});
  const Ops::AttentionParams params{.heads = 3, .scale = 1, .causal = false, .upcast = false};
  const Program program = Program::record(ops, [&] {
    static_cast<void>(ops.conv2d(x, kernel, {}));
    static_cast<void>(ops.conv2d(x, kernel, {.stride = 2}));
    static_cast<void>(ops.conv2d(x, pointwise, {}));
    static_cast<void>(ops.attention(q, k, k, params));
    static_cast<void>(ops.attention(q, q, q, params));
    static_cast<void>(ops.activation(q, Activation::silu));
  });
  const std::vector<std::string> expected = {"conv2d 3x3 2x7x9x4 -> 6",
                                             "conv2d 3x3 2x7x9x4 -> 6, stride 2",
                                             "conv2d 1x1 2x7x9x4 -> 6",
                                             "attention 2x5, 3 heads of 4, 11 keys",
                                             "attention 2x5, 3 heads of 4, 5 keys",
                                             "activation 2x5x12 -> 2x5x12"};
  std::vector<std::string> labels;
  for (const Op& op : program.ops()) labels.push_back(label_of(op));
  CHECK(labels == expected);
}

TEST_CASE("tracing adds up calls by op and shape") {
  ShapeBackend shapes;
  TracingBackend tracing(shapes);
  Ops ops(tracing, DType::f32);
  const Weight linear{{5, 8}, {}, nullptr};
  for (const std::int64_t rows : {3, 3, 4}) {
    static_cast<void>(ops.linear(ops.make(DType::f32, {rows, 8}), linear, {}));
  }
  REQUIRE(tracing.lines().size() == 2);
  const auto& line = tracing.lines().at("linear 3x8 -> 5");
  CHECK(line.calls == 2);
  CHECK(line.cost.flops == 2 * 2.0 * 3 * 40);
  CHECK(line.seconds >= 0);
}

}  // namespace diffuse
