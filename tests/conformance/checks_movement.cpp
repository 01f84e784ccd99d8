#include <limits>

#include "tests/conformance/check.hpp"
#include "tests/reference/movement.hpp"

namespace diffuse::test {
namespace {

Check upsample_check(const char* what, const Shape& shape, std::int64_t height, std::int64_t width,
                     DType dtype) {
  const auto x = random_array(shape, dtype, 91);
  return {"upsample_nearest", what, shape[0],
          [=](Device& device, Slice slice) {
            return device.ops().upsample_nearest(device.put(x, slice), height, width);
          },
          [=] { return reference::upsample_nearest(x, height, width); }};
}

Check concat_check(const char* what, const Shape& shape, std::int64_t second, DType dtype) {
  const auto a = random_array(shape, dtype, 101);
  const auto b = random_array(shape.with_back(second), dtype, 102);
  return {"concat_channels", what, shape[0],
          [=](Device& device, Slice slice) {
            return device.ops().concat_channels(device.put(a, slice), device.put(b, slice));
          },
          [=] { return reference::concat_channels(a, b); }};
}

// Copies into a tensor made here; `gap` makes rows of both strided.
Check copy_check(const char* what, const Shape& shape, std::int64_t copies, DType from, DType to,
                 std::int64_t gap) {
  const auto x = random_array(shape, from, 111);
  // Entries repeat over the whole batch, so that only all of them together make sense.
  return {"copy", what, 1,
          [=](Device& device, Slice) {
            const Tensor source = device.put(x, from, gap);
            const Shape target = shape.with_front(copies * shape[0]);
            const Tensor y = device.put(Array(target), to, gap);
            device.ops().copy(source, y);
            return y;
          },
          [=] { return reference::repeat(x, copies * shape[0], 1.0); }};
}

Check scale_input_check(const char* what, int copies, DType dtype) {
  const auto x = random_array({3, 5, 7, 4}, DType::f32, 121);
  const auto factors = random_array({6}, DType::f32, 122, 0.3, 1.0);
  return {"scale_input", what, copies == 1 ? 3 : 1,
          [=](Device& device, Slice slice) {
            const Slice some = copies == 1 ? slice : Slice{0, 3};
            return device.ops().scale_input(device.put(entries_of(x, some), DType::f32),
                                            device.put_f32(factors), device.put_ints({4}, {1}),
                                            copies);
          },
          [=, dtype = dtype] {
            static_cast<void>(dtype);
            return reference::repeat(x, copies * 3, factors[4]);
          }};
}

Check select_row_check(DType dtype) {
  const auto table = random_array({9, 37}, dtype, 131);
  return {"select_row", "the last row", 1,
          [=](Device& device, Slice) {
            return device.ops().select_row(device.put(table, dtype), device.put_ints({8}, {1}));
          },
          [=] { return reference::select_row(table, 8); }};
}

Check pixels_check(DType dtype) {
  Array x = random_array({2, 9, 11, 3}, dtype, 141, 0.7);
  x[0] = 3;
  x[1] = -3;
  x[2] = std::numeric_limits<double>::quiet_NaN();
  x[3] = 1;
  x[4] = -1;
  x[5] = std::numeric_limits<double>::infinity();
  x[6] = 0;  // 127.5 to even
  return {"pixels", "range, ends, ties, NaN and infinity", 2,
          [=](Device& device, Slice slice) {
            const Tensor input = device.put(x, slice);
            const Tensor y = device.ops().make(DType::u8, input.shape());
            device.ops().pixels(input, y);
            return y;
          },
          [=] { return reference::pixels(x); }};
}

}  // namespace

std::vector<Check> movement_checks(DType dtype) {
  std::vector<Check> checks = {
      upsample_check("twice", {2, 5, 7, 33}, 10, 14, dtype),
      upsample_check("to an odd size, as a skip may ask", {2, 5, 7, 16}, 9, 13, dtype),
      upsample_check("one pixel", {3, 1, 1, 1}, 2, 3, dtype),
      concat_check("skip connection", {2, 5, 7, 40}, 24, dtype),
      concat_check("one channel each", {3, 2, 1}, 1, dtype),
      copy_check("same dtype", {2, 9, 13}, 1, dtype, dtype, 0),
      copy_check("to f32", {2, 9, 13}, 1, dtype, DType::f32, 0),
      copy_check("from f32", {2, 9, 13}, 1, DType::f32, dtype, 0),
      copy_check("entries repeat", {3, 4, 5}, 2, dtype, dtype, 0),
      copy_check("strided rows, repeated and converted", {2, 9, 13}, 3, DType::f32, dtype, 8),
      copy_check("vectors repeat", {5}, 2, DType::f32, dtype, 0),
      scale_input_check("one copy", 1, dtype),
      scale_input_check("both halves of guidance", 2, dtype),
      select_row_check(dtype),
      pixels_check(dtype),
  };
  return checks;
}

}  // namespace diffuse::test
