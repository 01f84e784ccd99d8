#pragma once

// Group norm, layer norm, GEGLU and activations. Included once per instruction set.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

/// Sums of (x - x[0]) and their squares over the pixels, for `kVecs` vectors of channels. Taking
/// the first pixel as origin keeps the variance exact where the mean is large.
template <class T, int kVecs>
void channel_sums(const T* x, std::int64_t pixels, std::int64_t channels, float* mean, float* m2) {
  Vec origin[kVecs], sum[kVecs], square[kVecs];
  for (int v = 0; v < kVecs; ++v) {
    origin[v] = load(x + v * kLanes);
    sum[v] = square[v] = zero();
  }
  for (std::int64_t p = 1; p < pixels; ++p) {
    const T* row = x + p * channels;
    for (int v = 0; v < kVecs; ++v) {
      const Vec d = sub(load(row + v * kLanes), origin[v]);
      sum[v] = add(sum[v], d);
      square[v] = fma(d, d, square[v]);
    }
  }
  const Vec inverse = set1(1.0F / static_cast<float>(pixels));
  for (int v = 0; v < kVecs; ++v) {
    const Vec average = mul(sum[v], inverse);
    store(mean + v * kLanes, add(origin[v], average));
    store(m2 + v * kLanes, max(sub(square[v], mul(sum[v], average)), zero()));
  }
}

/// The same for the last channels, fewer than a vector.
template <class T>
void channel_sums_tail(const T* x, std::int64_t pixels, std::int64_t channels, int count,
                       float* mean, float* m2) {
  const Vec origin = load_n(x, count);
  Vec sum = zero(), square = zero();
  for (std::int64_t p = 1; p < pixels; ++p) {
    const Vec d = sub(load_n(x + p * channels, count), origin);
    sum = add(sum, d);
    square = fma(d, d, square);
  }
  const Vec average = mul(sum, set1(1.0F / static_cast<float>(pixels)));
  store_n(mean, add(origin, average), count);
  store_n(m2, max(sub(square, mul(sum, average)), zero()), count);
}

template <class T>
void group_moments(const void* x_bytes, std::int64_t pixels, std::int64_t channels,
                   std::int64_t groups, float* work, Moments* moments) {
  const T* x = static_cast<const T*>(x_bytes);
  float* mean = work;
  float* m2 = work + channels;
  std::int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) {
    channel_sums<T, 4>(x + c, pixels, channels, mean + c, m2 + c);
  }
  for (; c + kLanes <= channels; c += kLanes) {
    channel_sums<T, 1>(x + c, pixels, channels, mean + c, m2 + c);
  }
  if (c < channels) {
    channel_sums_tail(x + c, pixels, channels, static_cast<int>(channels - c), mean + c, m2 + c);
  }

  // Channels of equal weight join to groups (Chan et al. 1983).
  const std::int64_t width = channels / groups;
  const double count = static_cast<double>(pixels);
  for (std::int64_t g = 0; g < groups; ++g) {
    const float* group_mean = mean + g * width;
    const float* group_m2 = m2 + g * width;
    double total = 0;
    for (std::int64_t i = 0; i < width; ++i) total += static_cast<double>(group_mean[i]);
    const double centre = total / static_cast<double>(width);
    double squares = 0;
    for (std::int64_t i = 0; i < width; ++i) {
      const double d = static_cast<double>(group_mean[i]) - centre;
      squares += static_cast<double>(group_m2[i]) + count * d * d;
    }
    moments[g] = {centre, squares};
  }
}

template <class T, class Fn>
void group_apply_with(const T* x, T* y, std::int64_t pixels, std::int64_t channels,
                      const float* mean, const float* factor, const float* shift) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    const T* from = x + p * channels;
    T* to = y + p * channels;
    std::int64_t c = 0;
    for (; c + kLanes <= channels; c += kLanes) {
      const Vec d = sub(load(from + c), load(mean + c));
      store(to + c, Fn::template apply<T>(fma(d, load(factor + c), load(shift + c))));
    }
    if (c < channels) {
      const int n = static_cast<int>(channels - c);
      const Vec d = sub(load_n(from + c, n), load_n(mean + c, n));
      store_n(to + c, Fn::template apply<T>(fma(d, load_n(factor + c, n), load_n(shift + c, n))),
              n);
    }
  }
}

template <class T>
void group_apply(const void* x, void* y, std::int64_t pixels, std::int64_t channels,
                 const float* mean, const float* factor, const float* shift, Function function) {
  with_function(function, [&]<class Fn>(Fn) {
    group_apply_with<T, Fn>(static_cast<const T*>(x), static_cast<T*>(y), pixels, channels, mean,
                            factor, shift);
  });
}

template <class T>
void layer_norm(const void* x_bytes, void* y_bytes, std::int64_t rows, std::int64_t channels,
                const float* scale, const float* shift, float eps) {
  const T* x = static_cast<const T*>(x_bytes);
  T* y = static_cast<T*>(y_bytes);
  const std::int64_t whole = channels / kLanes * kLanes;
  const int rest = static_cast<int>(channels - whole);
  const float inverse = 1.0F / static_cast<float>(channels);
  for (std::int64_t r = 0; r < rows; ++r, x += channels, y += channels) {
    Vec sum = zero();
    for (std::int64_t c = 0; c < whole; c += kLanes) sum = add(sum, load(x + c));
    if (rest != 0) sum = add(sum, load_n(x + whole, rest));
    const Vec mean = set1(reduce_add(sum) * inverse);

    // The sum of what is left after that mean corrects it: its rounding counts where it is large.
    Vec left = zero();
    Vec square = zero();
    for (std::int64_t c = 0; c < whole; c += kLanes) {
      const Vec d = sub(load(x + c), mean);
      left = add(left, d);
      square = fma(d, d, square);
    }
    if (rest != 0) {
      float d[kLanes] = {};  // lanes past the end must add nothing
      store_n(d, sub(load_n(x + whole, rest), mean), rest);
      left = add(left, load(d));
      square = fma(load(d), load(d), square);
    }
    const float correction = reduce_add(left) * inverse;
    const float variance = reduce_add(square) * inverse - correction * correction;
    const float spread = __builtin_sqrtf((variance > 0 ? variance : 0) + eps);
    const Vec factor = set1(1.0F / spread);
    const Vec offset = set1(-correction / spread);

    for (std::int64_t c = 0; c < whole; c += kLanes) {
      const Vec d = fma(sub(load(x + c), mean), factor, offset);
      store(y + c, fma(d, load(scale + c), load(shift + c)));
    }
    if (rest != 0) {
      const Vec d = fma(sub(load_n(x + whole, rest), mean), factor, offset);
      store_n(y + whole, fma(d, load_n(scale + whole, rest), load_n(shift + whole, rest)), rest);
    }
  }
}

template <class T>
void geglu(const void* x_bytes, void* y_bytes, std::int64_t rows, std::int64_t channels) {
  const T* x = static_cast<const T*>(x_bytes);
  T* y = static_cast<T*>(y_bytes);
  for (std::int64_t r = 0; r < rows; ++r, x += 2 * channels, y += channels) {
    std::int64_t c = 0;
    for (; c + kLanes <= channels; c += kLanes) {
      store(y + c, mul(load(x + c), gelu_of<T>(load(x + channels + c))));
    }
    if (c < channels) {
      const int n = static_cast<int>(channels - c);
      store_n(y + c, mul(load_n(x + c, n), gelu_of<T>(load_n(x + channels + c, n))), n);
    }
  }
}

template <class T>
void activation(const void* x_bytes, void* y_bytes, std::int64_t count, Function function) {
  const T* x = static_cast<const T*>(x_bytes);
  T* y = static_cast<T*>(y_bytes);
  with_function(function, [&]<class Fn>(Fn) {
    std::int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) store(y + i, Fn::template apply<T>(load(x + i)));
    if (i < count) {
      const int n = static_cast<int>(count - i);
      store_n(y + i, Fn::template apply<T>(load_n(x + i, n)), n);
    }
  });
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
