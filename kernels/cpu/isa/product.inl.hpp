#pragma once

// The inner loop of matrix products on packed weights. Included once per instruction set.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

/// Columns of a packed panel.
constexpr std::int64_t kPanel = kPanelVecs * kLanes;

/// fn(weights), of the type in which those that are multiplied as T are held.
template <class T, class Fn>
void with_held(const void* weights, Held held, Fn fn) {
  switch (held) {
    case Held::as_multiplied:
      return fn(static_cast<const T*>(weights));
    case Held::bf16:
      return fn(static_cast<const Bf16*>(weights));
    case Held::f16:
      return fn(static_cast<const F16*>(weights));
  }
}

/// y[r,:] = sum_d x[r,d] panel[d,:] for R rows and one panel, [depth][kPanel], of weights. The sum
/// runs in the order of d, so that a row gets the same bytes whatever rows it comes with.
/// `next_x`, `next_panel`: memory that is wanted next, fetched meanwhile: R rows of x that lie
/// together, and one line of weights for each step.
template <int R>
void panel_product(const float* x, std::int64_t x_stride, const float* panel, std::int64_t depth,
                   float* y, std::int64_t y_stride, const float* next_x, const float* next_panel) {
  Vec sum[R][kPanelVecs];
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    DIFFUSE_UNROLL
    for (int v = 0; v < kPanelVecs; ++v) sum[r][v] = zero();
  }
  for (std::int64_t d = 0; d < depth; ++d, panel += kPanel) {
    Vec weight[kPanelVecs];
    DIFFUSE_UNROLL
    for (int v = 0; v < kPanelVecs; ++v) weight[v] = load(panel + v * kLanes);
    __builtin_prefetch(next_x + d * R, 0, 3);
    __builtin_prefetch(next_panel + d * 16, 0, 2);
    DIFFUSE_UNROLL
    for (int r = 0; r < R; ++r) {
      const Vec factor = set1(x[r * x_stride + d]);
      DIFFUSE_UNROLL
      for (int v = 0; v < kPanelVecs; ++v) sum[r][v] = fma(factor, weight[v], sum[r][v]);
    }
  }
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    DIFFUSE_UNROLL
    for (int v = 0; v < kPanelVecs; ++v) store(y + r * y_stride + v * kLanes, sum[r][v]);
  }
}

/// The same for 1 to kRows rows.
inline void panel_product_rows(std::int64_t rows, const float* x, std::int64_t x_stride,
                               const float* panel, std::int64_t depth, float* y,
                               std::int64_t y_stride, const float* next_x,
                               const float* next_panel) {
  switch (rows) {
    case 1:
      return panel_product<1>(x, x_stride, panel, depth, y, y_stride, next_x, next_panel);
    case 2:
      return panel_product<2>(x, x_stride, panel, depth, y, y_stride, next_x, next_panel);
    case 3:
      return panel_product<3>(x, x_stride, panel, depth, y, y_stride, next_x, next_panel);
    case 4:
      return panel_product<4>(x, x_stride, panel, depth, y, y_stride, next_x, next_panel);
    case 5:
      return panel_product<5>(x, x_stride, panel, depth, y, y_stride, next_x, next_panel);
    default:
      return panel_product<kRows>(x, x_stride, panel, depth, y, y_stride, next_x, next_panel);
  }
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
