#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "kernels/cpu/halves.hpp"
#include "kernels/cpu/isa.hpp"
#include "kernels/cpu/memory.hpp"

// Outputs that are written past the caches: too large for the op cases, so a panel's kernel is
// called as a layer calls it.
namespace diffuse::test {
namespace {

using cpu::Bf16;

constexpr std::int64_t kRows = 77;
constexpr std::int64_t kDepth = 35;
constexpr std::byte kUntouched{0x5A};

float value_as(float value, float /*type*/) { return value; }
Bf16 value_as(float value, Bf16 /*type*/) { return cpu::to_bf16(value); }

template <class T>
std::vector<T> values(std::int64_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<T> made(static_cast<std::size_t>(count));
  std::generate(made.begin(), made.end(), [&] { return value_as(normal(random), T{}); });
  return made;
}

struct Lines {
  explicit Lines(std::size_t bytes) : size(bytes), memory(cpu::allocate_aligned(bytes)) {
    std::memset(memory.get(), static_cast<int>(kUntouched), size);
  }
  [[nodiscard]] const std::byte* begin() const { return static_cast<std::byte*>(memory.get()); }
  [[nodiscard]] const std::byte* end() const { return begin() + size; }
  std::size_t size;
  std::shared_ptr<void> memory;
};

// The outputs of kRows rows and one panel, written with a panel's place free beside each row.
template <class T>
Lines outputs(const cpu::PanelKernels& kernels, bool with_residual, bool past_caches) {
  const std::int64_t columns = kernels.columns, stride = 2 * columns;
  const std::vector<T> x = values<T>(kRows * kDepth, 1);
  const std::vector<T> panel = values<T>((kDepth + 1) / 2 * 2 * columns, 2);
  const std::vector<T> residual = values<T>(kRows * columns, 3);
  const std::vector<float> bias = values<float>(columns, 4);
  std::vector<float> sums(static_cast<std::size_t>(kRows * columns));
  std::vector<cpu::ProductRow> rows;
  for (std::int64_t r = 0; r < kRows; ++r) {
    rows.push_back({x.data() + r * kDepth, sums.data() + r * columns});
  }
  Lines y(static_cast<std::size_t>(kRows * stride) * sizeof(T));

  cpu::PanelOutput output{};
  output.bias = bias.data();
  output.residual = with_residual ? residual.data() : nullptr;
  output.residual_stride = columns;
  output.y = y.memory.get();
  output.y_stride = stride;
  output.f32 = sizeof(T) == sizeof(float);
  output.past_caches = past_caches;
  cpu::PanelProduct product{};
  product.rows = rows.data();
  product.count = kRows;
  product.columns = columns;
  product.panel = panel.data();
  product.depth = kDepth;
  product.fresh = true;
  product.output = &output;
  product.next = panel.data();
  product.next_bytes = static_cast<std::int64_t>(panel.size() * sizeof(panel[0]));
  kernels.product(product);
  return y;
}

template <class T>
void check(const cpu::PanelKernels& kernels) {
  const auto row = kernels.columns * static_cast<std::int64_t>(sizeof(T));
  if (row % 64 != 0) return;  // never asked for
  for (const bool with_residual : {false, true}) {
    const Lines near = outputs<T>(kernels, with_residual, false);
    const Lines far = outputs<T>(kernels, with_residual, true);
    INFO("residual " << with_residual);
    CHECK(std::equal(near.begin(), near.end(), far.begin()));
    CHECK(*near.begin() != kUntouched);
    CHECK(std::all_of(near.end() - row, near.end(), [](std::byte b) { return b == kUntouched; }));
  }
}

}  // namespace

TEST_CASE("outputs written past the caches have the same bytes") {
  for (const cpu::Isa isa : {cpu::Isa::sse, cpu::Isa::avx2, cpu::Isa::avx512, cpu::Isa::avx512_bf16,
                             cpu::Isa::amx_bf16}) {
    if (isa > cpu::best_isa()) break;
    INFO(cpu::name_of(isa));
    const cpu::KernelTable& kernels = cpu::kernels_of(isa);
    check<float>(kernels.f32.panels);
    if (kernels.bf16 != nullptr) check<Bf16>(kernels.bf16->panels);
  }
}

}  // namespace diffuse::test
