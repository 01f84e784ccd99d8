#include <catch2/catch.hpp>

#include "core/base/error.hpp"
#include "core/base/step_row.hpp"
#include "core/tensor/decorators.hpp"
#include "core/tensor/ops.hpp"
#include "core/tensor/shape_backend.hpp"

namespace diffuse {
namespace {

struct Fixture {
  ShapeBackend backend;
  Ops ops{backend, DType::f32};
  Tensor f32(const Shape& shape) { return ops.make(DType::f32, shape); }
  Tensor of(DType dtype, const Shape& shape) { return ops.make(dtype, shape); }
  static Weight weight(const Shape& shape, WeightRole role = WeightRole::linear) {
    return {shape, {.role = role}, nullptr};
  }
};

class Refusing final : public Backend {
 public:
  std::string name() const override { return "refusing"; }
  std::string numerics() const override { return {}; }
  std::string refuses(DType dtype) const override {
    return dtype == DType::f32 ? "" : "no such dtype here";
  }
  std::shared_ptr<void> allocate(std::size_t) override { return nullptr; }
  void write(std::span<const std::byte>, const Tensor&) override {}
  void read(const Tensor&, std::span<std::byte>) override {}
  Weight prepare(std::span<const StoredWeight>, const WeightUse&) override { return {}; }
  void execute(const Op&) override {}
};

class Fusing final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  bool fuses_geglu(const Weight& weight) const override { return weight.shape[0] == 12; }
  void execute(const Op& op) override { labels.push_back(label_of(op)); }
  std::vector<std::string> labels;
};

}  // namespace

TEST_CASE("a linear layer that ends in GEGLU is one op where the backend fuses it") {
  ShapeBackend shapes;
  Fusing backend(shapes);
  Backend& as_any = backend;
  ForwardingBackend outside(as_any);
  Ops ops(outside, DType::f32);
  const Tensor x = ops.make(DType::f32, {2, 3, 8});
  const Tensor bias = ops.make(DType::f32, {12});
  CHECK(ops.linear_geglu(x, Fixture::weight({12, 8}), bias).shape() == Shape({2, 3, 6}));
  CHECK(backend.labels == std::vector<std::string>{"linear 2x3x8 -> 12, geglu"});
  CHECK_THROWS_AS(ops.linear_geglu(x, Fixture::weight({12, 7}), bias), ShapeError);
  CHECK_THROWS_AS(ops.linear_geglu(x, Fixture::weight({12, 8}), x), ShapeError);
  backend.labels.clear();
  CHECK(ops.linear_geglu(x, Fixture::weight({10, 8}), Tensor()).shape() == Shape({2, 3, 5}));
  CHECK(backend.labels == std::vector<std::string>{"linear 2x3x8 -> 10", "geglu 2x3x10 -> 2x3x5"});
}

TEST_CASE("a dtype that the backend refuses is an error with its reason") {
  Refusing backend;
  CHECK_NOTHROW(Ops(backend, DType::f32));
  CHECK_THROWS_WITH(Ops(backend, DType::bf16), Catch::Contains("no such dtype here"));
  CHECK_THROWS_AS(Ops(backend, DType::bf16), DeviceError);
}

TEST_CASE_METHOD(Fixture, "linear takes what fits and refuses the rest") {
  const Weight w = weight({5, 8});
  CHECK(ops.linear(f32({2, 3, 8}), w, {}).shape() == Shape({2, 3, 5}));
  CHECK(ops.linear(f32({2, 3, 16}).columns(4, 12), w, {}).shape() == Shape({2, 3, 5}));
  CHECK(ops.linear(f32({2, 8}), w, {.bias = f32({5}), .residual = f32({2, 5})}).shape() ==
        Shape({2, 5}));
  CHECK_THROWS_AS(ops.linear(f32({2, 7}), w, {}), ShapeError);
  CHECK_THROWS_AS(ops.linear(of(DType::bf16, {2, 8}), w, {}), ShapeError);
  CHECK_THROWS_AS(ops.linear(Tensor(), w, {}), ShapeError);
  CHECK_THROWS_AS(ops.linear(f32({2, 8}), w, {.bias = f32({4})}), ShapeError);
  CHECK_THROWS_AS(ops.linear(f32({2, 8}), w, {.bias = of(DType::bf16, {5})}), ShapeError);
  CHECK_THROWS_AS(ops.linear(f32({2, 8}), w, {.residual = f32({3, 5})}), ShapeError);
}

TEST_CASE_METHOD(Fixture, "conv2d computes its size and refuses what does not fit") {
  const Weight w = weight({6, 4, 3, 3}, WeightRole::conv_kernel);
  const Ops::ConvParams padded{.stride = 2, .pad_bottom = 1, .pad_right = 1};
  CHECK(ops.conv2d(f32({2, 8, 10, 4}), w, padded).shape() == Shape({2, 4, 5, 6}));
  CHECK(ops.conv2d(f32({2, 3, 3, 4}), w, {}).shape() == Shape({2, 1, 1, 6}));
  CHECK_THROWS_AS(ops.conv2d(f32({2, 2, 3, 4}), w, {}), ShapeError);
  CHECK_THROWS_AS(ops.conv2d(f32({2, 8, 8, 5}), w, {}), ShapeError);
  CHECK_THROWS_AS(ops.conv2d(f32({8, 8, 4}), w, {}), ShapeError);
  CHECK_THROWS_AS(ops.conv2d(f32({2, 8, 8, 4}), w, {.stride = 0}), ShapeError);
  CHECK_THROWS_AS(ops.conv2d(f32({2, 8, 8, 8}).columns(0, 4), w, {}), ShapeError);
  CHECK_THROWS_AS(ops.conv2d(f32({2, 3, 3, 4}), w, {.residual = f32({2, 1, 6})}), ShapeError);
}

TEST_CASE_METHOD(Fixture, "norms refuse wrong groups, vectors and eps") {
  const Tensor x = f32({2, 3, 3, 12});
  const Tensor v = f32({12});
  CHECK_NOTHROW(ops.group_norm(x, v, v, 4, 1e-5F, Activation::none));
  CHECK_THROWS_AS(ops.group_norm(x, v, v, 5, 1e-5F, Activation::none), ShapeError);
  CHECK_THROWS_AS(ops.group_norm(x, v, v, 0, 1e-5F, Activation::none), ShapeError);
  CHECK_THROWS_AS(ops.group_norm(x, v, v, 4, 0.0F, Activation::none), ShapeError);
  CHECK_THROWS_AS(ops.group_norm(x, v, Tensor(), 4, 1e-5F, Activation::none), ShapeError);
  CHECK_THROWS_AS(ops.group_norm(x, f32({11}), v, 4, 1e-5F, Activation::none), ShapeError);
  CHECK_THROWS_AS(ops.group_norm(f32({2, 12}), v, v, 4, 1e-5F, Activation::none), ShapeError);
  CHECK_THROWS_AS(ops.layer_norm(x, v, v, -1.0F), ShapeError);
  CHECK_THROWS_AS(ops.layer_norm(x, f32({3}), v, 1e-5F), ShapeError);
}

TEST_CASE_METHOD(Fixture, "attention refuses operands that do not fit") {
  const Tensor q = f32({2, 7, 24});
  const Tensor k = f32({2, 9, 24});
  const Ops::AttentionParams params{.heads = 3, .scale = 1, .causal = false, .upcast = false};
  CHECK(ops.attention(q, k, k, params).shape() == Shape({2, 7, 24}));
  auto wrong = params;
  wrong.heads = 5;
  CHECK_THROWS_AS(ops.attention(q, k, k, wrong), ShapeError);
  wrong.heads = 0;
  CHECK_THROWS_AS(ops.attention(q, k, k, wrong), ShapeError);
  auto causal = params;
  causal.causal = true;
  CHECK_THROWS_AS(ops.attention(q, k, k, causal), ShapeError);
  CHECK_NOTHROW(ops.attention(q, q, q, causal));
  CHECK_THROWS_AS(ops.attention(q, k, q, params), ShapeError);
  CHECK_THROWS_AS(ops.attention(q, f32({1, 9, 24}), f32({1, 9, 24}), params), ShapeError);
  CHECK_THROWS_AS(ops.attention(q, f32({2, 0, 24}), f32({2, 0, 24}), params), ShapeError);
}

TEST_CASE_METHOD(Fixture, "the small ops refuse operands that do not fit") {
  CHECK_THROWS_AS(ops.geglu(f32({2, 7})), ShapeError);
  CHECK(ops.geglu(f32({2, 8})).shape() == Shape({2, 4}));
  CHECK_THROWS_AS(ops.activation(of(DType::i32, {3}), Activation::silu), ShapeError);
  CHECK_THROWS_AS(ops.upsample_nearest(f32({1, 4, 4, 2}), 3, 8), ShapeError);
  CHECK_THROWS_AS(ops.concat_channels(f32({2, 3}), f32({3, 3})), ShapeError);
  CHECK_THROWS_AS(ops.copy(f32({2, 3}), f32({3, 3})), ShapeError);
  CHECK_THROWS_AS(ops.copy(f32({2, 3}), f32({4, 2})), ShapeError);
  CHECK_THROWS_AS(ops.copy(of(DType::i32, {2}), f32({2})), ShapeError);
  CHECK_NOTHROW(ops.copy(f32({2, 3}), of(DType::bf16, {4, 3})));
  CHECK_THROWS_AS(ops.pixels(f32({1, 2, 2, 3}), f32({1, 2, 2, 3})), ShapeError);
  const Tensor step = of(DType::i32, {1});
  CHECK_THROWS_AS(ops.select_row(f32({2, 3}), f32({1})), ShapeError);
  CHECK_THROWS_AS(ops.scale_input(f32({2, 3}), f32({4}), step, 3), ShapeError);
  CHECK(ops.scale_input(f32({2, 3}), f32({4}), step, 2).shape() == Shape({4, 3}));
  CHECK_THROWS_AS(ops.embedding(of(DType::i32, {1, 9}), weight({5, 4}), weight({8, 4})),
                  ShapeError);
  CHECK_THROWS_AS(ops.embedding(of(DType::i32, {1, 8}), weight({5, 4}), weight({8, 3})),
                  ShapeError);
}

TEST_CASE_METHOD(Fixture, "scheduler_step refuses operands that do not fit") {
  SchedulerStepOp op;
  op.sample = f32({2, 3, 3, 4});
  op.noise_pred = f32({4, 3, 3, 4});
  op.guidance = f32({2, 2});
  op.rows = of(DType::u8, {5, static_cast<std::int64_t>(sizeof(StepRow))});
  op.step = of(DType::i32, {1});
  CHECK_NOTHROW(ops.scheduler_step(op));
  auto wrong = op;
  wrong.noise_pred = f32({3, 3, 3, 4});
  CHECK_THROWS_AS(ops.scheduler_step(wrong), ShapeError);
  wrong = op;
  wrong.guidance = f32({2});
  CHECK_THROWS_AS(ops.scheduler_step(wrong), ShapeError);
  wrong = op;
  wrong.rows = of(DType::u8, {5, 8});
  CHECK_THROWS_AS(ops.scheduler_step(wrong), ShapeError);
  wrong = op;
  wrong.history = f32({2, 72});
  CHECK_THROWS_AS(ops.scheduler_step(wrong), ShapeError);
}

TEST_CASE_METHOD(Fixture, "weights must have the bytes of their shape, and parts must stack") {
  const std::vector<std::byte> bytes(4 * 6 * 4);
  const StoredWeight a{bytes, DType::f32, {4, 6}};
  const StoredWeight short_one{std::span(bytes).first(90), DType::f32, {4, 6}};
  const StoredWeight other{bytes, DType::f32, {3, 8}};
  const StoredWeight parts[2] = {a, a};
  const StoredWeight bad[2] = {a, other};
  CHECK(ops.prepare(parts, {}).shape == Shape({8, 6}));
  CHECK_THROWS_AS(ops.prepare({&short_one, 1}, {}), ShapeError);
  CHECK_THROWS_AS(ops.prepare(bad, {}), ShapeError);
  CHECK_THROWS_AS(ops.prepare({}, {}), ShapeError);
  const StoredWeight kernel{std::span(bytes).first(4 * 3 * 2 * 4), DType::f32, {3, 2, 2, 2}};
  CHECK_THROWS_AS(ops.prepare({&kernel, 1}, {.role = WeightRole::linear}), ShapeError);
}

TEST_CASE_METHOD(Fixture, "writing takes as many values as there are, of the right type") {
  const Tensor x = f32({2, 3});
  const std::vector<float> six(6);
  const std::vector<float> five(5);
  const std::vector<std::int32_t> ints(6);
  CHECK_NOTHROW(ops.write(six, x));
  CHECK_THROWS_AS(ops.write(five, x), ShapeError);
  CHECK_THROWS_AS(ops.write(ints, x), ShapeError);
  CHECK_THROWS_AS(ops.write(five, f32({5, 2}).columns(0, 1)), ShapeError);
  CHECK(ops.download(x).size() == 6);
  CHECK_THROWS_AS(ops.download(of(DType::bf16, {3})), ShapeError);
}

}  // namespace diffuse
