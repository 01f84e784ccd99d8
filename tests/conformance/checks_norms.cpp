#include "tests/cases/attention_cases.hpp"
#include "tests/cases/norm_cases.hpp"
#include "tests/conformance/check.hpp"
#include "tests/reference/attention.hpp"
#include "tests/reference/norms.hpp"

namespace diffuse::test {
namespace {

Check group_norm_check(const GroupNormCase& c, DType dtype) {
  const auto x =
      random_array({c.batch, c.height, c.width, c.channels}, dtype, 61, c.spread, c.offset);
  const auto scale = random_array({c.channels}, DType::f32, 62, 0.5, 1.0);
  const auto shift = random_array({c.channels}, DType::f32, 63);
  return {"group_norm", c.what, c.batch,
          [=](Device& device, Slice slice) {
            return device.ops().group_norm(device.put(x, slice), device.put_f32(scale),
                                           device.put_f32(shift), c.groups, c.eps, c.activation);
          },
          [=] {
            return reference::group_norm(x, scale, shift, c.groups, static_cast<double>(c.eps),
                                         c.activation);
          }};
}

Check layer_norm_check(const LayerNormCase& c, DType dtype) {
  const auto x = random_array({c.batch, c.rows, c.channels}, dtype, 71, c.spread, c.offset);
  const auto scale = random_array({c.channels}, DType::f32, 72, 0.5, 1.0);
  const auto shift = random_array({c.channels}, DType::f32, 73);
  return {"layer_norm", c.what, c.batch,
          [=](Device& device, Slice slice) {
            return device.ops().layer_norm(device.put(x, slice), device.put_f32(scale),
                                           device.put_f32(shift), c.eps);
          },
          [=] { return reference::layer_norm(x, scale, shift, static_cast<double>(c.eps)); }};
}

Check attention_check(const AttentionCase& c, DType dtype) {
  const std::int64_t width = c.heads * c.head_dim;
  const auto q = random_array({c.batch, c.queries, width}, dtype, 81, c.spread);
  const auto k = random_array({c.batch, c.keys, width}, dtype, 82);
  const auto v = random_array({c.batch, c.keys, width}, dtype, 83);
  const auto scale =
      static_cast<float>(c.scale != 0 ? c.scale : 1 / std::sqrt(static_cast<double>(c.head_dim)));
  Check check{"attention", c.what, c.batch, {}, {}};
  check.run = [=](Device& device, Slice slice) {
    const Ops::AttentionParams params{c.heads, scale, c.causal, c.upcast};
    if (!c.packed) {
      return device.ops().attention(device.put(q, slice), device.put(k, slice),
                                    device.put(v, slice), params);
    }
    Array all(q.shape.with_back(3 * width));
    for (std::int64_t r = 0; r < q.shape.rows(); ++r) {
      for (std::int64_t i = 0; i < width; ++i) {
        all[r * 3 * width + i] = q[r * width + i];
        all[r * 3 * width + width + i] = k[r * width + i];
        all[r * 3 * width + 2 * width + i] = v[r * width + i];
      }
    }
    const Tensor qkv = device.put(all, slice);
    return device.ops().attention(qkv.columns(0, width), qkv.columns(width, 2 * width),
                                  qkv.columns(2 * width, 3 * width), params);
  };
  check.want = [=] {
    return reference::attention(q, k, v, c.heads, static_cast<double>(scale), c.causal);
  };
  return check;
}

}  // namespace

std::vector<Check> norm_checks(DType dtype) {
  std::vector<Check> checks;
  for (const auto& c : group_norm_cases()) checks.push_back(group_norm_check(c, dtype));
  for (const auto& c : layer_norm_cases()) checks.push_back(layer_norm_check(c, dtype));
  return checks;
}

std::vector<Check> attention_checks(DType dtype) {
  std::vector<Check> checks;
  for (const auto& c : attention_cases()) checks.push_back(attention_check(c, dtype));
  return checks;
}

}  // namespace diffuse::test
