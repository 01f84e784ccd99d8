#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <iostream>
#include <random>
#include <vector>

#include "kernels/cpu/halves.hpp"
#include "tests/conformance/host_tiles.hpp"
#include "tests/conformance/tile_machines.hpp"

// Products on tiles beyond the op cases: single rows and their neighbours, and the tile unit beside
// its twin without one.
namespace diffuse::test {
namespace {

using cpu::Bf16;

constexpr std::int64_t kColumns = 32;

// Rows of `depth` values that lie at `places` of a picture.
struct Layer {
  std::int64_t depth;
  std::int64_t columns = kColumns;
  std::vector<std::int64_t> places;
  std::vector<Bf16> x, panel;

  Layer(std::int64_t depth_, std::vector<std::int64_t> places_, float size, std::uint32_t seed)
      : depth(depth_), places(std::move(places_)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<Bf16>& values, std::int64_t count) {
      values.resize(static_cast<std::size_t>(count));
      for (Bf16& v : values) v = cpu::to_bf16(size * normal(random));
    };
    fill(x, (places.back() + 1) * depth);
    fill(panel, (depth + 1) / 2 * 2 * kColumns);
    for (std::int64_t c = 0; depth % 2 != 0 && c < kColumns; ++c) {
      panel[static_cast<std::size_t>((depth / 2 * kColumns + c) * 2 + 1)] = Bf16{};
    }
  }

  // Bytes between the rows, if all lie evenly.
  [[nodiscard]] std::int64_t stride() const {
    const bool even =
        places.back() - places.front() + 1 == static_cast<std::int64_t>(places.size());
    return even ? depth * static_cast<std::int64_t>(sizeof(Bf16)) : 0;
  }

  // The rows [begin, end) of the list, whose sums begin from a known value; `spacing` panels apart.
  [[nodiscard]] std::vector<float> sums(const cpu::PanelKernels& kernels, std::size_t begin,
                                        std::size_t end, bool fresh, float before,
                                        std::int64_t spacing = 1,
                                        const cpu::PanelOutput* output = nullptr) const {
    const std::int64_t apart = spacing * kColumns;
    std::vector<float> all((end - begin) * static_cast<std::size_t>(apart), before);
    std::vector<cpu::ProductRow> rows;
    for (std::size_t i = begin; i < end; ++i) {
      rows.push_back({x.data() + places[i] * depth,
                      all.data() + static_cast<std::int64_t>(i - begin) * apart});
    }
    cpu::PanelProduct product{};
    product.rows = rows.data();
    product.count = static_cast<std::int64_t>(rows.size());
    product.x_stride = stride();
    product.columns = columns;
    product.panel = panel.data();
    product.next = panel.data();
    product.next_bytes = depth * kColumns * 2;
    product.depth = depth;
    product.fresh = fresh;
    product.output = output;
    kernels.product(product);
    return all;
  }
};

// Places as convolutions leave them: all; all but a picture's edge; single ones; far apart.
std::vector<std::vector<std::int64_t>> placements() {
  std::vector<std::vector<std::int64_t>> all(6);
  for (std::int64_t p = 0; p < 77; ++p) {
    all[0].push_back(p);
    if (p % 8 != 0) all[1].push_back(p);
    if (p % 8 != 7 && p != 40) all[2].push_back(p);
    if (p % 31 == 5) all[3].push_back(p);
    if (p < 3 || p > 45) all[4].push_back(p);
    if (p < 48) all[5].push_back(p);
  }
  return all;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("the twin of the tile unit sees what the unit would not forgive") {
  if (!machine_has_avx512_bf16()) return;
  std::vector<float> memory(256, 1.0F);
  CHECK_THROWS(HostTiles::load(0, memory.data(), 64));
  HostTiles::begin();
  HostTiles::load(0, memory.data(), 64);
  HostTiles::zero(2);
  CHECK_THROWS(HostTiles::multiply_add(2, 0, 1));
  CHECK_THROWS(HostTiles::store(1, memory.data(), 64));
  HostTiles::load(1, memory.data(), 64);
  CHECK_THROWS(HostTiles::multiply_add(0, 0, 1));
  CHECK_NOTHROW(HostTiles::multiply_add(2, 0, 1));
  HostTiles::end();
  CHECK_THROWS(HostTiles::store(2, memory.data(), 64));
  HostTiles::begin();  // a new size forgets what was there
  CHECK_THROWS(HostTiles::store(2, memory.data(), 64));
  HostTiles::end();
}

TEST_CASE("the twin multiplies as the manual says") {
  if (!machine_has_avx512_bf16()) return;
  // Row 0: 3 = 1 * 1 + 1 * 2 in the first pair; the even products are summed up apart from the odd
  // ones, and both before the sum that was there; denormal numbers are zeros.
  std::vector<Bf16> a(512, Bf16{}), b(512, Bf16{});
  std::vector<float> c(256, 0.0F);
  const auto put = [](Bf16& to, float value) { to = cpu::to_bf16(value); };
  put(a[0], 1), put(b[0], 1), put(a[1], 1), put(b[1], 2);
  for (std::size_t k = 0; k < 2; ++k) put(a[32 + 2 * k], 1), put(a[33 + 2 * k], 1);  // row 1
  // Column 1: even products 2^24 and 1, odd products -2^24 and 1, added up to 2 in pairs of pairs,
  // but 2^24 + 1 is 2^24 and -2^24 + 1 is not rounded.
  put(b[2], 0x1p24F), put(b[3], -0x1p24F), put(b[34], 1), put(b[35], 1);
  put(a[64], 0x1p-100F), put(b[4], 0x1p-40F), c[32 + 2] = -0x1p-130F;  // row 2, column 2
  HostTiles::begin();
  HostTiles::load(0, c.data(), 64);
  HostTiles::load(1, a.data(), 64);
  HostTiles::load(2, b.data(), 64);
  HostTiles::multiply_add(0, 1, 2);
  HostTiles::store(0, c.data(), 64);
  HostTiles::end();
  CHECK(c[0] == 3.0F);
  CHECK(c[16 + 1] == 1.0F);
  CHECK(c[32 + 2] == 0.0F);
}

TEST_CASE("on tiles a row's sums do not depend on the rows beside it") {
  if (!machine_has_avx512_bf16()) return;
  const cpu::PanelKernels& kernels = host_tile_kernels()->bf16->panels;
  for (const std::int64_t depth : {1, 2, 31, 32, 33, 64, 200, 450, 1100}) {
    for (const auto& places : placements()) {
      for (const bool fresh : {false, true}) {
        const float before = fresh ? NAN : 0.25F;
        const Layer layer(depth, places, 1.0F, 7);
        INFO("depth " << depth << ", " << places.size() << " rows");
        const std::vector<float> all = layer.sums(kernels, 0, places.size(), fresh, before);
        std::vector<float> single;
        for (std::size_t i = 0; i < places.size(); ++i) {
          const auto one = layer.sums(kernels, i, i + 1, fresh, before);
          single.insert(single.end(), one.begin(), one.end());
        }
        CHECK(same(all, single));
      }
    }
  }
}

TEST_CASE("sums on tiles may lie some panels apart, and what is between them stays") {
  if (!machine_has_avx512_bf16()) return;
  const cpu::PanelKernels& kernels = host_tile_kernels()->bf16->panels;
  for (const std::int64_t depth : {64, 1100}) {
    for (const std::size_t count : {std::size_t{5}, std::size_t{48}, std::size_t{77}}) {
      const Layer layer(depth, placements()[0], 1.0F, 9);
      INFO("depth " << depth << ", " << count << " rows");
      const auto near = layer.sums(kernels, 0, count, false, 0.5F);
      const auto apart = layer.sums(kernels, 0, count, false, 0.5F, 2);
      std::vector<float> want(apart.size(), 0.5F);
      for (std::size_t r = 0; r < count; ++r) {
        std::copy_n(near.begin() + static_cast<std::ptrdiff_t>(r * kColumns), kColumns,
                    want.begin() + static_cast<std::ptrdiff_t>(2 * r * kColumns));
      }
      CHECK(same(apart, want));
    }
  }
}

TEST_CASE("outputs on tiles are those of the sums, in their places") {
  if (!machine_has_avx512_bf16()) return;
  const cpu::PanelKernels& kernels = host_tile_kernels()->bf16->panels;
  for (const std::int64_t depth : {33, 64, 1100}) {
    for (const std::int64_t columns : {kColumns, std::int64_t{21}}) {
      Layer layer(depth, placements()[0], 1.0F, 13);
      layer.columns = columns;
      INFO("depth " << depth << ", " << columns << " columns");
      const std::size_t count = layer.places.size();
      const auto sums = layer.sums(kernels, 0, count, true, NAN);
      // Every third row has no output; the others follow each other, the last one first.
      std::vector<std::int32_t> places(count, -1);
      std::int32_t outputs = 0;
      for (std::size_t r = count; r-- > 0;) {
        if (r % 3 != 1) places[r] = outputs++;
      }
      std::vector<float> y(static_cast<std::size_t>(outputs + 1) * kColumns, -7.0F), want = y;
      for (std::size_t r = 0; r < count; ++r) {
        if (places[r] < 0) continue;
        std::copy_n(sums.begin() + static_cast<std::ptrdiff_t>(r * kColumns), columns,
                    want.begin() + places[r] * kColumns);
      }
      cpu::PanelOutput output{};
      output.y = y.data();
      output.y_stride = kColumns;
      output.f32 = true;
      output.places = places.data();
      static_cast<void>(layer.sums(kernels, 0, count, true, NAN, 1, &output));
      CHECK(same(y, want));
    }
  }
}

TEST_CASE("the tile unit gives its twin's bytes") {
  if (!machine_has_tiles()) return;
  const cpu::PanelKernels& unit = cpu::amx_bf16_kernels()->bf16->panels;
  const cpu::PanelKernels& twin = host_tile_kernels()->bf16->panels;
  int products = 0;
  for (const std::int64_t depth : {1, 2, 31, 32, 33, 64, 200, 450, 1100}) {
    for (const auto& places : placements()) {
      for (const float size : {1.0F, 0x1p-63F, 0x1p70F}) {
        for (const std::int64_t columns : {32, 30}) {
          Layer layer(depth, places, size, 11);
          layer.columns = columns;
          INFO("depth " << depth << ", " << places.size() << " rows, size " << size);
          for (const bool fresh : {false, true}) {
            const auto got = layer.sums(unit, 0, places.size(), fresh, 0.25F);
            CHECK(same(got, layer.sums(twin, 0, places.size(), fresh, 0.25F)));
            ++products;
          }
        }
      }
    }
  }
  std::cout << products << " products on the tile unit have their twin's bytes\n";
}

}  // namespace diffuse::test
