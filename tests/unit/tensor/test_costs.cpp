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

TEST_CASE("tracing adds up calls by op and shape") {
  ShapeBackend shapes;
  TracingBackend tracing(shapes);
  Ops ops(tracing, DType::f32);
  const Weight linear{{5, 8}, {}, nullptr};
  for (const std::int64_t rows : {3, 3, 4}) {
    static_cast<void>(ops.linear(ops.make(DType::f32, {rows, 8}), linear, {}));
  }
  REQUIRE(tracing.lines().size() == 2);
  const auto& line = tracing.lines().at("linear [3, 8] -> [3, 5]");
  CHECK(line.calls == 2);
  CHECK(line.cost.flops == 2 * 2.0 * 3 * 40);
  CHECK(line.seconds >= 0);
}

}  // namespace diffuse
