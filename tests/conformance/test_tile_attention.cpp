#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/cpu/halves.hpp"
#include "tests/conformance/host_tiles.hpp"
#include "tests/conformance/tile_machines.hpp"

// Attention on tiles beyond the op cases: rows and their neighbours, and the tile unit beside its
// twin without one.
namespace diffuse::test {
namespace {

using cpu::AttentionKernels;
using cpu::Bf16;

struct Shape {
  std::int64_t rows, keys, head_dim;
  bool causal = false;
  float spread = 1.0F;  // of q: large makes references move
};

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {{1, 1, 1},           {5, 9, 3},
                                         {33, 31, 17},        {64, 64, 32},
                                         {70, 77, 40},        {77, 77, 64, true},
                                         {45, 128, 48},       {40, 129, 80},
                                         {65, 300, 40},       {40, 300, 24, false, 12.0F},
                                         {100, 60, 33, true}, {60, 200, 40, true, 8.0F},
                                         {35, 70, 160},       {20, 600, 200, false, 6.0F},
                                         {33, 300, 512},      {64, 300, 257, true, 4.0F},
                                         {290, 40, 512},      {40, 300, 40, false, 300.0F}};
  return all;
}

Bf16 as(float value, Bf16 /*type*/) { return cpu::to_bf16(value); }
float as(float value, float /*type*/) { return value; }

// One head whose rows of q, k, v and y are a little apart from each other.
template <class T>
class Head {
 public:
  explicit Head(const Shape& shape) : shape_(shape), stride_(shape.head_dim + 5) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<T>& values, std::int64_t rows, float size) {
      // Memory that must not be read is NaN.
      values.assign(static_cast<std::size_t>(rows * stride_), as(NAN, T{}));
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
          values[static_cast<std::size_t>(r * stride_ + d)] = as(size * normal(random), T{});
        }
      }
    };
    fill(q_, shape.rows, shape.spread);
    fill(k_, shape.keys, 1.0F);
    fill(v_, shape.keys, 1.0F);
  }

  // All rows, in blocks of at most `most`; memory between them is left as it was.
  [[nodiscard]] std::vector<T> outputs(const AttentionKernels& kernels, std::int64_t most) const {
    const auto bytes = [](std::int64_t count) { return Memory(static_cast<std::size_t>(count)); };
    Memory keys = bytes(kernels.packed_bytes(shape_.keys, shape_.head_dim));
    Memory values = bytes(kernels.packed_bytes(shape_.keys, shape_.head_dim));
    Memory scratch = bytes(kernels.scratch_bytes(shape_.head_dim));
    kernels.pack_keys(k_.data(), stride_, shape_.keys, shape_.head_dim, keys.begin());
    kernels.pack_values(v_.data(), stride_, shape_.keys, shape_.head_dim, values.begin());
    std::vector<T> y(q_.size(), as(0x1.22p-40F, T{}));
    for (std::int64_t first = 0; first < shape_.rows; first += most) {
      cpu::AttentionBlock block{};
      block.q = q_.data() + first * stride_;
      block.q_stride = block.y_stride = stride_;
      block.y = y.data() + first * stride_;
      block.rows = std::min(most, shape_.rows - first);
      block.first_row = first;
      block.packed_keys = keys.begin();
      block.packed_values = values.begin();
      block.keys = shape_.keys;
      block.head_dim = shape_.head_dim;
      block.scale = scale();
      block.causal = shape_.causal;
      block.scratch = scratch.begin();
      kernels.block(block);
      scratch.spoil();
    }
    return y;
  }

  // All rows without a mask, in double: [rows][head_dim].
  [[nodiscard]] std::vector<double> wanted() const {
    std::vector<double> y(static_cast<std::size_t>(shape_.rows * shape_.head_dim), 0.0);
    const auto at = [&](const std::vector<T>& values, std::int64_t row, std::int64_t d) {
      return static_cast<double>(values[static_cast<std::size_t>(row * stride_ + d)]);
    };
    std::vector<double> scores(static_cast<std::size_t>(shape_.keys));
    for (std::int64_t r = 0; r < shape_.rows; ++r) {
      for (std::int64_t k = 0; k < shape_.keys; ++k) {
        double sum = 0;
        for (std::int64_t d = 0; d < shape_.head_dim; ++d) sum += at(q_, r, d) * at(k_, k, d);
        scores[static_cast<std::size_t>(k)] = sum * scale();
      }
      const double top = *std::max_element(scores.begin(), scores.end());
      double total = 0;
      for (double& score : scores) total += score = std::exp(score - top);
      for (std::int64_t k = 0; k < shape_.keys; ++k) {
        for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
          y[static_cast<std::size_t>(r * shape_.head_dim + d)] +=
              scores[static_cast<std::size_t>(k)] / total * at(v_, k, d);
        }
      }
    }
    return y;
  }
  [[nodiscard]] std::int64_t stride() const { return stride_; }

 private:
  [[nodiscard]] float scale() const {
    return 1.0F / std::sqrt(static_cast<float>(shape_.head_dim));
  }

  // Lines of a cache, all NaN.
  class Memory {
   public:
    explicit Memory(std::size_t bytes) : lines_((bytes + 63) / 64) { spoil(); }
    void spoil() { std::memset(lines_.data(), 0xFF, lines_.size() * sizeof(Line)); }
    [[nodiscard]] void* begin() { return lines_.data(); }

   private:
    struct alignas(64) Line {
      std::uint8_t bytes[64];
    };
    std::vector<Line> lines_;
  };

  Shape shape_;
  std::int64_t stride_;
  std::vector<T> q_, k_, v_;
};

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
const AttentionKernels& attention_of(const cpu::KernelTable& table) {
  if constexpr (std::is_same_v<T, float>) {
    return table.f32.attention;
  } else {
    return table.bf16->attention;
  }
}

std::string described(const Shape& shape) {
  return std::to_string(shape.rows) + " rows, " + std::to_string(shape.keys) + " keys, head_dim " +
         std::to_string(shape.head_dim) + (shape.causal ? ", causal" : "");
}

}  // namespace

TEMPLATE_TEST_CASE("on tiles a query row's output does not depend on the rows beside it", "", Bf16,
                   float) {
  if (!machine_has_avx512_bf16()) return;
  const AttentionKernels& kernels = attention_of<TestType>(*host_tile_kernels());
  for (const Shape& shape : shapes()) {
    INFO(described(shape));
    const Head<TestType> head(shape);
    const auto all = head.outputs(kernels, kernels.query_block);
    bool finite = true;
    for (const TestType value : all) finite = finite && std::isfinite(cpu::to_float(value));
    CHECK(finite);
    for (const std::int64_t most : {std::int64_t{1}, std::int64_t{7}, kernels.query_unit}) {
      CHECK(same(head.outputs(kernels, most), all));
    }
  }
}

TEMPLATE_TEST_CASE("attention on the tile unit gives its twin's bytes", "", Bf16, float) {
  if (!machine_has_tiles()) return;
  const AttentionKernels& unit = attention_of<TestType>(*cpu::amx_bf16_kernels());
  const AttentionKernels& twin = attention_of<TestType>(*host_tile_kernels());
  for (const Shape& shape : shapes()) {
    INFO(described(shape));
    const Head<TestType> head(shape);
    CHECK(same(head.outputs(unit, unit.query_block), head.outputs(twin, twin.query_block)));
  }
}

TEST_CASE("attention of split numbers has about the error of multiply-adds in f32") {
  if (!machine_has_avx512_bf16()) return;
  for (const Shape& shape : shapes()) {
    if (shape.causal) continue;
    INFO(described(shape));
    const Head<float> head(shape);
    const std::vector<double> want = head.wanted();
    const auto error_of = [&](const AttentionKernels& kernels) {
      const auto got = head.outputs(kernels, kernels.query_block);
      double squares = 0;
      for (std::int64_t r = 0; r < shape.rows; ++r) {
        for (std::int64_t d = 0; d < shape.head_dim; ++d) {
          const double error = got[static_cast<std::size_t>(r * head.stride() + d)] -
                               want[static_cast<std::size_t>(r * shape.head_dim + d)];
          squares += error * error;
        }
      }
      return std::sqrt(squares / static_cast<double>(want.size()));
    };
    const double split = error_of(host_tile_kernels()->f32.attention);
    const double plain = error_of(cpu::avx512_bf16_kernels()->f32.attention);
    INFO(split << " beside " << plain);
    CHECK(split <= 1.5 * plain);
  }
}

}  // namespace diffuse::test
