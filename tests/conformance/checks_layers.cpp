#include "tests/cases/layer_cases.hpp"
#include "tests/conformance/check.hpp"
#include "tests/reference/layers.hpp"

namespace diffuse::test {
namespace {

// Weights as a file may hold them: the run's dtype or f16, by turns.
DType stored_dtype(std::size_t index, DType dtype) {
  return index % 2 == 0 ? dtype : (dtype == DType::f32 ? DType::f16 : DType::bf16);
}

Check linear_check(const LinearCase& c, DType dtype, std::size_t index) {
  const DType stored = stored_dtype(index, dtype);
  const DType out = c.f32_output ? DType::f32 : dtype;
  const auto x = random_array({c.batch, c.rows, c.in}, dtype, 1);
  const auto weight =
      random_array({c.out, c.in}, stored, 2, 1 / std::sqrt(static_cast<double>(c.in)));
  const auto bias = c.bias ? random_array({c.out}, DType::f32, 3) : Array();
  const auto residual = c.residual ? random_array({c.batch, c.rows, c.out}, out, 4) : Array();
  Check check{"linear", c.what, c.batch, {}, {}};
  check.run = [=](Device& device, Slice slice) {
    Ops& ops = device.ops();
    const Weight prepared =
        device.prepare(weight, {.role = WeightRole::linear, .dtype = dtype}, stored);
    Ops::LinearExtras extras;
    if (c.bias) extras.bias = device.put_f32(bias);
    extras.activation = c.activation;
    extras.f32_output = c.f32_output;
    if (c.residual) {
      extras.residual = device.put(entries_of(residual, slice), out, c.strided_residual ? 6 : 0);
    }
    const Tensor input = device.put(x, slice, c.strided_x ? 10 : 0);
    if (!c.residual_is_y) return ops.linear(input, prepared, extras);
    const LinearOp op{input, prepared, extras.bias, extras.residual, c.activation, extras.residual};
    device.backend().execute(op);
    return extras.residual;
  };
  check.want = [=] { return reference::linear(x, weight, bias, residual, c.activation); };
  return check;
}

Check conv2d_check(const Conv2dCase& c, DType dtype, std::size_t index) {
  const DType stored = stored_dtype(index, dtype);
  const double fan_in = static_cast<double>(c.channels * c.kernel_height * c.kernel_width);
  const auto x = random_array({c.batch, c.height, c.width, c.channels}, dtype, 11);
  const auto weight = random_array({c.out_channels, c.channels, c.kernel_height, c.kernel_width},
                                   stored, 12, 1 / std::sqrt(fan_in));
  const auto bias = c.bias ? random_array({c.out_channels}, DType::f32, 13) : Array();
  const std::int64_t out_height =
      (c.height + c.pad_top + c.pad_bottom - c.kernel_height) / c.stride + 1;
  const std::int64_t out_width =
      (c.width + c.pad_left + c.pad_right - c.kernel_width) / c.stride + 1;
  const auto residual =
      c.residual ? random_array({c.batch, out_height, out_width, c.out_channels}, dtype, 14)
                 : Array();
  Check check{"conv2d", c.what, c.batch, {}, {}};
  check.run = [=](Device& device, Slice slice) {
    const Weight prepared = device.prepare(weight,
                                           {.role = WeightRole::conv_kernel,
                                            .dtype = dtype,
                                            .stride = c.stride,
                                            .height = c.sized || index % 3 != 0 ? c.height : 0,
                                            .width = c.width},
                                           stored);
    Ops::ConvParams params;
    params.stride = c.stride;
    params.pad_top = c.pad_top;
    params.pad_left = c.pad_left;
    params.pad_bottom = c.pad_bottom;
    params.pad_right = c.pad_right;
    if (c.bias) params.bias = device.put_f32(bias);
    if (c.residual) params.residual = device.put(residual, slice);
    return device.ops().conv2d(device.put(x, slice), prepared, params);
  };
  check.want = [=] {
    return reference::conv2d(x, weight, bias, residual,
                             {c.stride, c.pad_top, c.pad_left, c.pad_bottom, c.pad_right});
  };
  return check;
}

Check geglu_check(const GegluCase& c, DType dtype) {
  const auto x = random_array({c.batch, c.rows, 2 * c.width}, dtype, 21, c.spread);
  return {"geglu", c.what, c.batch,
          [=](Device& device, Slice slice) { return device.ops().geglu(device.put(x, slice)); },
          [=] { return reference::geglu(x); }};
}

Check linear_geglu_check(const LinearGegluCase& c, DType dtype) {
  const auto x = random_array({c.batch, c.rows, c.in}, dtype, 24);
  const auto weight =
      random_array({2 * c.width, c.in}, dtype, 25, 1 / std::sqrt(static_cast<double>(c.in)));
  const auto bias = c.bias ? random_array({2 * c.width}, DType::f32, 26) : Array();
  Check check{"linear_geglu", c.what, c.batch, {}, {}};
  check.run = [=](Device& device, Slice slice) {
    const Weight prepared =
        device.prepare(weight, {.role = WeightRole::linear, .dtype = dtype}, dtype);
    return device.ops().linear_geglu(device.put(x, slice, c.strided_x ? 10 : 0), prepared,
                                     c.bias ? device.put_f32(bias) : Tensor());
  };
  check.want = [=] {
    return reference::geglu(reference::linear(x, weight, bias, Array(), Activation::none));
  };
  return check;
}

Check activation_check(const ActivationCase& c, DType dtype) {
  const auto x = random_array({c.batch, c.elements}, dtype, 31, c.spread);
  return {"activation", c.what, c.batch,
          [=](Device& device, Slice slice) {
            return device.ops().activation(device.put(x, slice), c.activation);
          },
          [=] { return reference::activation(x, c.activation); }};
}

// A linear layer given as a 1x1 convolution kernel, and in two stacked parts.
Check stacked_check(DType dtype) {
  const auto x = random_array({2, 15, 48}, dtype, 41);
  const auto weight = random_array({72, 48}, dtype, 42, 0.15);
  Check check{"linear", "two parts stacked, one of them a 1x1 kernel", 2, {}, {}};
  check.run = [=](Device& device, Slice slice) {
    std::vector<std::vector<float>> parts(2);
    for (std::int64_t i = 0; i < 72 * 48; ++i) {
      parts[i < 24 * 48 ? 0 : 1].push_back(static_cast<float>(weight[i]));
    }
    const StoredWeight stored[2] = {
        {std::as_bytes(std::span(parts[0])), DType::f32, {24, 48, 1, 1}},
        {std::as_bytes(std::span(parts[1])), DType::f32, {48, 48, 1, 1}}};
    const Weight prepared =
        device.ops().prepare(stored, {.role = WeightRole::linear, .dtype = dtype});
    return device.ops().linear(device.put(x, slice), prepared, {});
  };
  check.want = [=] { return reference::linear(x, weight, {}, {}, Activation::none); };
  return check;
}

Check embedding_check(DType dtype) {
  const auto tokens = random_array({50, 37}, dtype, 51);
  const auto positions = random_array({80, 37}, dtype, 52);
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < 3 * 77; ++i) ids.push_back(i * 31 % 50);
  Check check{"embedding", "77 of 80 positions, first and last token", 3, {}, {}};
  check.run = [=](Device& device, Slice slice) {
    const WeightUse use{.role = WeightRole::embedding, .dtype = dtype};
    const Weight a = device.prepare(tokens, use, dtype);
    const Weight b = device.prepare(positions, use, dtype);
    const std::vector<std::int32_t> some(ids.begin() + slice.begin * 77,
                                         ids.begin() + slice.end * 77);
    return device.ops().embedding(device.put_ints(some, {slice.end - slice.begin, 77}), a, b);
  };
  check.want = [=] { return reference::embedding(ids, 77, tokens, positions); };
  return check;
}

}  // namespace

std::vector<Check> layer_checks(DType dtype) {
  std::vector<Check> checks;
  std::size_t index = 0;
  for (const auto& c : linear_cases()) checks.push_back(linear_check(c, dtype, index++));
  for (const auto& c : conv2d_cases()) checks.push_back(conv2d_check(c, dtype, index++));
  for (const auto& c : geglu_cases()) checks.push_back(geglu_check(c, dtype));
  for (const auto& c : linear_geglu_cases()) checks.push_back(linear_geglu_check(c, dtype));
  for (const auto& c : activation_cases()) checks.push_back(activation_check(c, dtype));
  checks.push_back(stacked_check(dtype));
  checks.push_back(embedding_check(dtype));
  return checks;
}

}  // namespace diffuse::test
