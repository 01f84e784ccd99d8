#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/cpu/halves.hpp"
#include "tests/conformance/host_tiles.hpp"
#include "tests/conformance/tile_machines.hpp"

// Attention on tiles beyond the op cases: rows and their neighbours, and the tile unit beside its
// twin of plain C++.
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
                                         {290, 40, 512}};
  return all;
}

// One head whose rows of q, k, v and y are a little apart from each other.
class Head {
 public:
  explicit Head(const Shape& shape) : shape_(shape), stride_(shape.head_dim + 5) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<Bf16>& values, std::int64_t rows, float size) {
      // Memory that must not be read is NaN.
      values.assign(static_cast<std::size_t>(rows * stride_), cpu::to_bf16(NAN));
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
          values[static_cast<std::size_t>(r * stride_ + d)] = cpu::to_bf16(size * normal(random));
        }
      }
    };
    fill(q_, shape.rows, shape.spread);
    fill(k_, shape.keys, 1.0F);
    fill(v_, shape.keys, 1.0F);
  }

  // All rows, in blocks of at most `most`; memory between them is left as it was.
  [[nodiscard]] std::vector<Bf16> outputs(const AttentionKernels& kernels,
                                          std::int64_t most) const {
    const auto bytes = [](std::int64_t count) { return Memory(static_cast<std::size_t>(count)); };
    Memory keys = bytes(kernels.packed_bytes(shape_.keys, shape_.head_dim));
    Memory values = bytes(kernels.packed_bytes(shape_.keys, shape_.head_dim));
    Memory scratch = bytes(kernels.scratch_bytes(shape_.head_dim));
    kernels.pack_keys(k_.data(), stride_, shape_.keys, shape_.head_dim, keys.begin());
    kernels.pack_values(v_.data(), stride_, shape_.keys, shape_.head_dim, values.begin());
    std::vector<Bf16> y(q_.size(), Bf16{0x1234});
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
      block.scale = 1.0F / std::sqrt(static_cast<float>(shape_.head_dim));
      block.causal = shape_.causal;
      block.scratch = scratch.begin();
      kernels.block(block);
      scratch.spoil();
    }
    return y;
  }

 private:
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
  std::vector<Bf16> q_, k_, v_;
};

bool same(const std::vector<Bf16>& a, const std::vector<Bf16>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Bf16)) == 0;
}

}  // namespace

TEST_CASE("on tiles a query row's output does not depend on the rows beside it") {
  if (!machine_has_avx512_bf16()) return;
  const AttentionKernels& kernels = host_tile_kernels()->bf16->attention;
  for (const Shape& shape : shapes()) {
    INFO(shape.rows << " rows, " << shape.keys << " keys, head_dim " << shape.head_dim
                    << (shape.causal ? ", causal" : ""));
    const Head head(shape);
    const auto all = head.outputs(kernels, kernels.query_block);
    for (const Bf16 value : all) REQUIRE(std::isfinite(cpu::to_float(value)));
    for (const std::int64_t most : {std::int64_t{1}, std::int64_t{7}, kernels.query_unit}) {
      CHECK(same(head.outputs(kernels, most), all));
    }
  }
}

TEST_CASE("attention on the tile unit gives its twin's bytes") {
  if (!machine_has_tiles()) return;
  const AttentionKernels& unit = cpu::amx_bf16_kernels()->bf16->attention;
  const AttentionKernels& twin = host_tile_kernels()->bf16->attention;
  for (const Shape& shape : shapes()) {
    INFO(shape.rows << " rows, " << shape.keys << " keys, head_dim " << shape.head_dim
                    << (shape.causal ? ", causal" : ""));
    const Head head(shape);
    CHECK(same(head.outputs(unit, unit.query_block), head.outputs(twin, twin.query_block)));
  }
}

}  // namespace diffuse::test
