#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <iostream>
#include <random>
#include <vector>

#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/isa.hpp"
#include "kernels/cpu/tile_permission.hpp"
#include "tests/conformance/host_tiles.hpp"

// Products on tiles beyond the op cases: single rows and their neighbours, and the tile unit beside
// its twin of plain C++.
namespace diffuse::test {
namespace {

using cpu::Bf16;

constexpr std::int64_t kColumns = 64;

bool machine_has_avx512_bf16() {
  if (cpu::best_isa() >= cpu::Isa::avx512_bf16) return true;
  std::cout << "not run: this machine or build has no avx512_bf16\n";
  return false;
}

// Rows of `depth` values that lie at `places` of a picture; sums of all places, outputs of the
// rows.
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

  // The rows [begin, end) of the list: sums of all their places, beginning from a known value.
  [[nodiscard]] std::vector<float> sums(const cpu::PanelKernels& kernels, std::size_t begin,
                                        std::size_t end, bool fresh, float before) const {
    const std::int64_t first = places[begin];
    std::vector<float> all(static_cast<std::size_t>((places[end - 1] - first + 1) * kColumns),
                           before);
    std::vector<cpu::ProductRow> rows;
    for (std::size_t i = begin; i < end; ++i) {
      rows.push_back({x.data() + places[i] * depth, all.data() + (places[i] - first) * kColumns});
    }
    cpu::PanelProduct product{};
    product.rows = rows.data();
    product.count = static_cast<std::int64_t>(rows.size());
    product.columns = columns;
    product.panel = panel.data();
    product.next = panel.data();
    product.depth = depth;
    product.fresh = fresh;
    kernels.product(product);
    return all;
  }

  // The outputs of all places, whose sums are whole.
  [[nodiscard]] std::vector<Bf16> outputs(const cpu::PanelKernels& kernels,
                                          std::vector<float> all) const {
    std::vector<cpu::ProductRow> rows;
    for (std::size_t at = 0; at < all.size(); at += kColumns) {
      rows.push_back({x.data(), all.data() + at});
    }
    std::vector<Bf16> y(all.size());
    cpu::PanelOutput output{};
    output.y = y.data();
    output.y_stride = kColumns;
    cpu::PanelProduct product{};
    product.rows = rows.data();
    product.count = static_cast<std::int64_t>(rows.size());
    product.columns = columns;
    product.panel = product.next = panel.data();
    product.output = &output;
    kernels.product(product);
    return y;
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
  for (const std::int64_t depth : {1, 2, 31, 32, 33, 64, 200, 450}) {
    for (const auto& places : placements()) {
      // The second size: sums about the smallest normal numbers, which vanish now and then, and -0
      // where there is no row.
      for (const float size : {1.0F, 0x1p-63F}) {
        Layer layer(depth, places, size, 7);
        const bool fresh = size == 1.0F && places.size() == 77;
        const float before = fresh ? NAN : size == 1.0F ? 0.25F : -0.0F;
        INFO("depth " << depth << ", " << places.size() << " rows, size " << size);
        std::vector<float> all = layer.sums(kernels, 0, places.size(), fresh, before);
        std::vector<float> single(all.size(), before);
        for (std::size_t i = 0; i < places.size(); ++i) {
          const auto one = layer.sums(kernels, i, i + 1, fresh, before);
          std::copy(one.begin(), one.end(),
                    single.begin() + (places[i] - places.front()) * kColumns);
        }
        const auto want = layer.outputs(kernels, single);
        const auto got = layer.outputs(kernels, all);
        CHECK(std::memcmp(got.data(), want.data(), got.size() * sizeof(Bf16)) == 0);
        if (size == 1.0F) CHECK(same(all, single));
      }
    }
  }
}

TEST_CASE("the tile unit gives its twin's bytes") {
  if (!cpu::tiles_granted() || cpu::best_isa() < cpu::Isa::amx_bf16) {
    std::cout << "not run: this machine or build has no amx_bf16\n";
    return;
  }
  const cpu::PanelKernels& unit = cpu::amx_bf16_kernels()->bf16->panels;
  const cpu::PanelKernels& twin = host_tile_kernels()->bf16->panels;
  int products = 0;
  for (const std::int64_t depth : {1, 2, 31, 32, 33, 64, 200, 450}) {
    for (const auto& places : placements()) {
      for (const float size : {1.0F, 0x1p-63F, 0x1p70F}) {
        for (const std::int64_t columns : {64, 30}) {
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
