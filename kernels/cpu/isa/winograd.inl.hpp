#pragma once

// Winograd's F(4x4, 3x3): a tile of 4x4 outputs of a 3x3 convolution takes 36 products a channel
// pair instead of 144 (Lavin and Gray 2015, arXiv:1509.09308). Included once per instruction set.
//
// The points are 0, +-5/8, +-3/2 and infinity: of those with short binary fractions they lose least
// to rounding, 1.7 times the error of direct convolution in f32; the usual 0, +-1, +-2 lose 3.7
// times. All arithmetic is f32, also for bf16 pictures: rounded factors would lose more than the
// result's own rounding.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

constexpr float kPointA = 0.625F;
constexpr float kPointB = 1.5F;
constexpr float kA2 = kPointA * kPointA;
constexpr float kB2 = kPointB * kPointB;

/// d = B^T d for six vectors, `step` apart.
inline void to_points(Vec* d, int step) {
  const Vec d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
  const Vec d5 = d[5 * step];
  const Vec even_a = fma(set1(-kB2), d2, d4);
  const Vec odd_a = fma(set1(-kB2), d1, d3);
  const Vec even_b = fma(set1(-kA2), d2, d4);
  const Vec odd_b = fma(set1(-kA2), d1, d3);
  d[0] = fma(set1(kA2 * kB2), d0, fma(set1(-kA2 - kB2), d2, d4));
  d[step] = fma(set1(kPointA), odd_a, even_a);
  d[2 * step] = fma(set1(-kPointA), odd_a, even_a);
  d[3 * step] = fma(set1(kPointB), odd_b, even_b);
  d[4 * step] = fma(set1(-kPointB), odd_b, even_b);
  d[5 * step] = fma(set1(kA2 * kB2), d1, fma(set1(-kA2 - kB2), d3, d5));
}

/// y = A^T m: six vectors, `step` apart, to four, `y_step` apart.
inline void from_points(const Vec* m, int step, Vec* y, int y_step) {
  const Vec sum_a = add(m[step], m[2 * step]), difference_a = sub(m[step], m[2 * step]);
  const Vec sum_b = add(m[3 * step], m[4 * step]), difference_b = sub(m[3 * step], m[4 * step]);
  y[0] = add(add(m[0], sum_a), sum_b);
  y[y_step] = fma(set1(kPointB), difference_b, mul(set1(kPointA), difference_a));
  y[2 * y_step] = fma(set1(kB2), sum_b, mul(set1(kA2), sum_a));
  y[3 * y_step] =
      fma(set1(kPointB * kB2), difference_b, fma(set1(kPointA * kA2), difference_a, m[5 * step]));
}

/// The 36 transformed values of `n` channels of a tile whose window begins at (row, column).
template <class T>
void transform_window(const WinogradPicture& p, const T* x, std::int64_t row, std::int64_t column,
                      int n, float* v, std::int64_t v_step) {
  Vec d[36];
  for (int j = 0; j < 6; ++j) {
    const std::int64_t w = column + j;
    for (int i = 0; i < 6; ++i) {
      const std::int64_t h = row + i;
      const bool inside = h >= 0 && h < p.height && w >= 0 && w < p.width;
      const T* from = x + (h * p.width + w) * p.channels;
      if (j >= 2) __builtin_prefetch(from + 4 * p.channels);  // the next tile's
      d[6 * i + j] = !inside ? zero() : (n == kLanes ? load(from) : load_n(from, n));
    }
    to_points(d + j, 6);
  }
  for (int i = 0; i < 6; ++i) {
    to_points(d + 6 * i, 1);
    for (int j = 0; j < 6; ++j) {
      float* to = v + (6 * i + j) * v_step;
      if (n == kLanes) {
        store(to, d[6 * i + j]);
      } else {
        store_n(to, d[6 * i + j], n);
      }
    }
  }
}

inline std::int64_t window_stride(std::int64_t channels) { return channels + kWinogradPadding; }

template <class T>
void winograd_input(const WinogradPicture& p, const void* x_bytes, std::int64_t begin,
                    std::int64_t end, float* v) {
  const T* pictures = static_cast<const T*>(x_bytes);
  const std::int64_t stride = window_stride(p.channels);
  for (std::int64_t tile = begin; tile < end; ++tile) {
    const std::int64_t n = tile / p.tiles, at = tile % p.tiles;
    const T* x = pictures + n * p.height * p.width * p.channels;
    const std::int64_t row = 4 * (at / p.tiles_across) - p.pad_top;
    const std::int64_t column = 4 * (at % p.tiles_across) - p.pad_left;
    const std::int64_t local = tile - begin;
    float* to = v + (local / kRows * 36 * kRows + local % kRows) * stride;
    for (std::int64_t c = 0; c < p.channels; c += kLanes) {
      const auto count = static_cast<int>(smaller(kLanes, p.channels - c));
      transform_window(p, x + c, row, column, count, to + c, kRows * stride);
    }
  }
}

/// Where a tile's outputs lie.
struct OutputTile {
  std::int64_t first;  ///< element of the first pixel
  std::int64_t rows, columns;
  OutputTile(const WinogradPicture& p, std::int64_t tile) {
    const std::int64_t at = tile % p.tiles;
    const std::int64_t row = 4 * (at / p.tiles_across), column = 4 * (at % p.tiles_across);
    rows = smaller(4, p.out_height - row);
    columns = smaller(4, p.out_width - column);
    first = ((tile / p.tiles * p.out_height + row) * p.out_width + column) * p.out_channels;
  }
};

/// Fetches what will be read and written for a panel's part of a tile.
template <class T>
void fetch_tile(const WinogradPicture& p, const OutputTile& tile, const T* residual, const T* y) {
  constexpr std::int64_t kLine = 64 / sizeof(T);
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    for (std::int64_t j = 0; j < tile.columns; ++j) {
      const std::int64_t at = tile.first + (i * p.out_width + j) * p.out_channels;
      for (std::int64_t c = 0; c < kWinogradPanel; c += kLine) {
        if (residual != nullptr) __builtin_prefetch(residual + at + c);
        __builtin_prefetch(y + at + c, 1);
      }
    }
  }
}

/// Products of 36 points back to the 4x4 outputs of `n` channels of a tile, with bias and residual.
template <class T>
void transform_back(const WinogradPicture& p, const OutputTile& tile, const float* m,
                    const float* bias, const T* residual, int n, T* y) {
  Vec value[36], half[24], out[16];
  for (int k = 0; k < 36; ++k) value[k] = load(m + k * kRows * kWinogradPanel);
  for (int j = 0; j < 6; ++j) from_points(value + j, 6, half + j, 6);
  for (int i = 0; i < 4; ++i) from_points(half + 6 * i, 1, out + 4 * i, 1);
  const Vec offset = bias == nullptr ? zero() : (n == kLanes ? load(bias) : load_n(bias, n));
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    for (std::int64_t j = 0; j < tile.columns; ++j) {
      const std::int64_t at = tile.first + (i * p.out_width + j) * p.out_channels;
      Vec result = add(out[4 * i + j], offset);
      if (n == kLanes) {
        if (residual != nullptr) result = add(result, load(residual + at));
        store(y + at, result);
      } else {
        if (residual != nullptr) result = add(result, load_n(residual + at, n));
        store_n(y + at, result, n);
      }
    }
  }
}

/// u = G g for three vectors, `step` apart, to six, `u_step` apart.
inline void kernel_to_points(const Vec* g, int step, Vec* u, int u_step) {
  constexpr float kAtZero = 1 / (kA2 * kB2);
  constexpr float kAtA = 1 / (2 * kA2 * (kA2 - kB2));
  constexpr float kAtB = 1 / (2 * kB2 * (kB2 - kA2));
  const Vec g0 = g[0], g1 = g[step], g2 = g[2 * step];
  const Vec even_a = fma(set1(kAtA * kA2), g2, mul(set1(kAtA), g0));
  const Vec even_b = fma(set1(kAtB * kB2), g2, mul(set1(kAtB), g0));
  u[0] = mul(set1(kAtZero), g0);
  u[u_step] = fma(set1(kAtA * kPointA), g1, even_a);
  u[2 * u_step] = fma(set1(-kAtA * kPointA), g1, even_a);
  u[3 * u_step] = fma(set1(kAtB * kPointB), g1, even_b);
  u[4 * u_step] = fma(set1(-kAtB * kPointB), g1, even_b);
  u[5 * u_step] = g2;
}

/// Kernels that are fetched from memory while one is transformed.
constexpr std::int64_t kKernelsAhead = 4;

/// u = G g G^T for every pair of channels.
template <class T>
void transform_kernels(const T* g, std::int64_t channels, float* u) {
  const std::int64_t step = winograd_weight_step(channels);
  for (std::int64_t c = 0; c < channels; ++c, g += 9 * kWinogradPanel) {
    for (std::int64_t o = 0; o < kWinogradPanel; o += kLanes) {
      Vec kernel[9], half[18];
      DIFFUSE_UNROLL
      for (int k = 0; k < 9; ++k) {
        const T* from = g + k * kWinogradPanel + o;
        kernel[k] = load(from);
        __builtin_prefetch(from + kKernelsAhead * 9 * kWinogradPanel);
      }
      DIFFUSE_UNROLL
      for (int j = 0; j < 3; ++j) kernel_to_points(kernel + j, 3, half + j, 3);
      float* to = u + (o / kPanel * channels + c) * kPanel + o % kPanel;
      DIFFUSE_UNROLL
      for (int i = 0; i < 6; ++i) {
        Vec points[6];
        kernel_to_points(half + 3 * i, 1, points, 1);
        DIFFUSE_UNROLL
        for (int j = 0; j < 6; ++j) store(to + (6 * i + j) * step, points[j]);
      }
    }
  }
}

template <class T>
void winograd_weights(const void* kernels, Held held, std::int64_t channels, float* u) {
  with_held<T>(kernels, held, [&](const auto* g) { transform_kernels(g, channels, u); });
}

inline void winograd_product(const WinogradPicture& p, const WinogradProduct& product) {
  const std::int64_t stride = window_stride(p.channels);
  // Each piece of weights, [channels][kPanel], meets all tiles while it is in cache.
  for (int k = 0; k < 36; ++k) {
    const float* weights = product.u + k * winograd_weight_step(p.channels);
    for (std::int64_t column = 0; column < kWinogradPanel; column += kPanel) {
      const float* next = weights + kPanel * p.channels;
      for (std::int64_t t = 0; t < product.tiles; t += kRows) {
        const float* v = product.v + (t / kRows * 36 + k) * kRows * stride;
        float* m = product.m + (t / kRows * 36 + k) * kRows * kWinogradPanel + column;
        // The first blocks of rows fetch the weights that come next.
        const float* ahead = next + smaller(t / kRows, kPanel / 16) * p.channels * 16;
        panel_product_rows(smaller(kRows, product.tiles - t), v, stride, weights, p.channels, m,
                           kWinogradPanel, v + 36 * kRows * stride, ahead);
      }
      weights = next;
    }
  }
}

template <class T>
void winograd_output(const WinogradPicture& p, const WinogradOutput& panel) {
  const std::int64_t count = panel.end - panel.begin;
  const std::int64_t channels = smaller(kWinogradPanel, p.out_channels - panel.first_channel);
  T* const y = static_cast<T*>(panel.y) + panel.first_channel;
  const T* residual = static_cast<const T*>(panel.residual);
  if (residual != nullptr) residual += panel.first_channel;
  for (std::int64_t t = 0; t < count; ++t) {
    const OutputTile tile(p, panel.begin + t);
    if (t + 1 < count) fetch_tile(p, OutputTile(p, panel.begin + t + 1), residual, y);
    const float* m = panel.m + (t / kRows * 36 * kRows + t % kRows) * kWinogradPanel;
    for (std::int64_t c = 0; c < channels; c += kLanes) {
      const float* bias = panel.bias == nullptr ? nullptr : panel.bias + panel.first_channel + c;
      transform_back(p, tile, m + c, bias, residual == nullptr ? nullptr : residual + c,
                     static_cast<int>(smaller(kLanes, channels - c)), y + c);
    }
  }
}

template <class T>
constexpr WinogradKernels winograd_kernels() {
  return {kRows, winograd_input<T>, winograd_weights<T>, winograd_product, winograd_output<T>};
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
