#pragma once

// Rows of values meet weights that are packed in panels of columns: linear layers and direct
// convolutions. Included once per instruction set.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

/// Some columns' sums of a row, by way of memory.
template <class T, class Fn>
void put_row(const PanelOutput& output, std::int64_t columns, const float* sums, std::int64_t row) {
  T* y = static_cast<T*>(output.y) + row * output.y_stride;
  const T* residual = static_cast<const T*>(output.residual);
  if (residual != nullptr) residual += row * output.residual_stride;
  for (std::int64_t c = 0; c < columns; c += kLanes) {
    const int n = static_cast<int>(smaller(kLanes, columns - c));
    Vec value = load(sums + c);
    if (output.bias != nullptr) {
      value = add(value, n == kLanes ? load(output.bias + c) : load_n(output.bias + c, n));
    }
    value = Fn::template apply<float>(value);
    if (residual != nullptr) {
      value = add(value, n == kLanes ? load(residual + c) : load_n(residual + c, n));
    }
    if (n == kLanes) {
      store(y + c, value);
    } else {
      store_n(y + c, value, n);
    }
  }
}

/// Stores that pass the caches by.
template <int V>
inline void stream_row(float* y, const Vec (&sum)[V]) {
  DIFFUSE_UNROLL
  for (int v = 0; v < V; ++v) stream(y + v * kLanes, sum[v]);
}
template <int V>
inline void stream_row(Bf16* y, const Vec (&sum)[V]) {
  DIFFUSE_UNROLL
  for (int v = 0; v < V; v += 2) stream(y + v * kLanes, sum[v], sum[v + 1]);
}

/// A row's sums, straight from registers: a call would move them to memory.
template <class T, int V>
[[gnu::always_inline]] inline void put_sums(const PanelOutput& output, Vec (&sum)[V],
                                            std::int64_t row) {
  T* y = static_cast<T*>(output.y) + row * output.y_stride;
  if (output.bias != nullptr) {
    DIFFUSE_UNROLL
    for (int v = 0; v < V; ++v) sum[v] = add(sum[v], load(output.bias + v * kLanes));
  }
  if (output.residual != nullptr) {
    const T* residual = static_cast<const T*>(output.residual) + row * output.residual_stride;
    DIFFUSE_UNROLL
    for (int v = 0; v < V; ++v) sum[v] = add(sum[v], load(residual + v * kLanes));
  }
  if (output.past_caches) return stream_row(y, sum);
  DIFFUSE_UNROLL
  for (int v = 0; v < V; ++v) store(y + v * kLanes, sum[v]);
}

/// What comes next is fetched meanwhile, a line a step: what the next rows will read and write,
/// then the weights that come next, then the rows that come after these. All at once would fill the
/// processor's list of misses and stall it.
struct Ahead {
  const std::byte* next;
  const std::byte* next_end;
  const std::byte* then;  // null: nothing
  const std::byte* then_end;
  int count = 0;
  const std::byte* lines[2 * kRows * ((kPanel * sizeof(float) + 63) / 64) + kStepsAtOnce];

  /// The outputs of rows [begin, end), if caches hold them, and the residuals that are added to
  /// them.
  template <class T>
  void outputs(const PanelOutput& output, std::int64_t columns, std::int64_t begin,
               std::int64_t end) {
    constexpr std::int64_t kLine = 64 / sizeof(T);
    count = 0;
    for (std::int64_t r = begin; r < end; ++r) {
      const T* y = static_cast<const T*>(output.y) + r * output.y_stride;
      for (std::int64_t c = 0; c < columns && !output.past_caches; c += kLine) {
        lines[count++] = reinterpret_cast<const std::byte*>(y + c);
      }
      if (output.residual == nullptr) continue;
      const T* residual = static_cast<const T*>(output.residual) + r * output.residual_stride;
      for (std::int64_t c = 0; c < columns; c += kLine) {
        lines[count++] = reinterpret_cast<const std::byte*>(residual + c);
      }
    }
    for (int i = 0; i < kStepsAtOnce; ++i) lines[count + i] = next;
  }

  /// What is due at `kSteps` steps.
  template <int kSteps>
  [[gnu::always_inline]] void fetch(std::int64_t step) {
    if (step < count) {
      DIFFUSE_UNROLL
      for (int i = 0; i < kSteps; ++i) __builtin_prefetch(lines[step + i]);
      return;
    }
    DIFFUSE_UNROLL
    for (int i = 0; i < kSteps; ++i) __builtin_prefetch(next + i * 64, 0, 2);
    if (next < next_end) {
      next += kSteps * 64;
    } else if (then != nullptr) {
      next = then;
      next_end = then_end;
      then = nullptr;
    }
  }
};

/// sums[r,:] += sum_d x[r,d] panel[d,:] for R rows and the first V vectors of
/// columns. The sum runs in the order of d, so that a row
/// gets the same bytes whatever rows it comes with.
template <class P, class T, int R, int V>
void panel_block(const PanelProduct& product, std::int64_t first, Ahead& ahead) {
  const ProductRow* rows = product.rows + first;
  using Element = typename P::Element;
  const Element* x[R];
  Vec sum[R][V];
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    x[r] = static_cast<const Element*>(rows[r].x) + product.first;
    DIFFUSE_UNROLL
    for (int v = 0; v < V; ++v) {
      sum[r][v] = product.fresh ? zero() : load(rows[r].sums + v * kLanes);
    }
  }
  const auto* panel = static_cast<const Element*>(product.panel);
  const auto step = [&](const auto& factor_of) {
    typename P::Operand weight[V];
    DIFFUSE_UNROLL
    for (int v = 0; v < V; ++v) {
      weight[v] = P::load_operand(panel + v * kLanes * P::kStep);
    }
    DIFFUSE_UNROLL
    for (int r = 0; r < R; ++r) {
      const typename P::Operand factor = factor_of(x[r]);
      DIFFUSE_UNROLL
      for (int v = 0; v < V; ++v) {
        sum[r][v] = P::multiply_add(factor, weight[v], sum[r][v]);
      }
    }
  };
  std::int64_t d = 0;
  const auto whole_step = [&] {
    step([d](const Element* row) { return P::broadcast(row + d); });
    d += P::kStep;
    panel += kPanel * P::kStep;
  };
  for (constexpr std::int64_t kDepth = kStepsAtOnce * P::kStep; d + kDepth <= product.depth;) {
    static_assert(kStepsAtOnce == 4);  // written out: g++ would unroll the loop around them too
    ahead.fetch<kStepsAtOnce>(d / P::kStep);
    whole_step();
    whole_step();
    whole_step();
    whole_step();
  }
  while (d + P::kStep <= product.depth) {
    ahead.fetch<1>(d / P::kStep);
    whole_step();
  }
  if (d < product.depth) {  // half a pair: nothing is read past the end of a row
    step([d](const Element* row) {
      const Element pair[2] = {row[d], Element{}};
      return P::broadcast(pair);
    });
  }
  if (product.output != nullptr && product.columns == V * kLanes &&
      product.output->function == Function::identity) {
    DIFFUSE_UNROLL
    for (int r = 0; r < R; ++r) put_sums<T>(*product.output, sum[r], first + r);
    return;
  }
  DIFFUSE_UNROLL
  for (int r = 0; r < R; ++r) {
    DIFFUSE_UNROLL
    for (int v = 0; v < V; ++v) store(rows[r].sums + v * kLanes, sum[r][v]);
  }
  if (product.output == nullptr) return;
  with_function(product.output->function, [&]<class Fn>(Fn) {
    for (int r = 0; r < R; ++r)
      put_row<T, Fn>(*product.output, product.columns, rows[r].sums, first + r);
  });
}

/// The same for rows [begin, end), at most kRows.
template <class P, class T, int V>
void panel_block_of(const PanelProduct& product, std::int64_t begin, std::int64_t end,
                    Ahead& ahead) {
  switch (end - begin) {
    case 1:
      return panel_block<P, T, 1, V>(product, begin, ahead);
    case 2:
      return panel_block<P, T, 2, V>(product, begin, ahead);
    case 3:
      return panel_block<P, T, 3, V>(product, begin, ahead);
    case 4:
      return panel_block<P, T, 4, V>(product, begin, ahead);
    case 5:
      return panel_block<P, T, 5, V>(product, begin, ahead);
    default:
      return panel_block<P, T, kRows, V>(product, begin, ahead);
  }
}

template <class P, class T, int V>
void panel_rows(const PanelProduct& product) {
  Ahead ahead;
  ahead.next = static_cast<const std::byte*>(product.next);
  ahead.next_end = ahead.next + product.next_bytes;
  ahead.then = static_cast<const std::byte*>(product.next_x);
  ahead.then_end = ahead.then + product.next_x_bytes;
  for (std::int64_t begin = 0; begin < product.count; begin += kRows) {
    const std::int64_t end = smaller(product.count, begin + kRows);
    if (product.output != nullptr) {
      ahead.outputs<T>(*product.output, product.columns, end, smaller(product.count, end + kRows));
    }
    panel_block_of<P, T, V>(product, begin, end, ahead);
  }
  if (product.output != nullptr && product.output->past_caches) __builtin_ia32_sfence();
}

template <class P, class T>
void panel_rows_of(const PanelProduct& product) {
  constexpr int kHalf = kPanelVecs / 2;
  if (product.columns <= kHalf * kLanes) return panel_rows<P, T, kHalf>(product);
  panel_rows<P, T, kPanelVecs>(product);
}

template <class T, class P>
void panel_product(const PanelProduct& product) {
  if (product.output != nullptr && product.output->f32) return panel_rows_of<P, float>(product);
  panel_rows_of<P, T>(product);
}

template <class T, std::int64_t kColumns>
void panel_gated(const GatedOutput& output) {
  const float* values = output.values;
  const float* gates = output.gates;
  T* y = static_cast<T*>(output.y);
  for (std::int64_t r = 0; r < output.rows; ++r, y += output.y_stride) {
    for (std::int64_t c = 0; c < kColumns; c += kLanes) {
      Vec value = load(values + c);
      Vec gate = load(gates + c);
      if (output.bias != nullptr) {
        value = add(value, load(output.bias + c));
        gate = add(gate, load(output.gate_bias + c));
      }
      store(y + c, mul(value, gelu_of<T>(gate)));
    }
    values += kColumns;
    gates += kColumns;
  }
}

inline void widen(const void* from, Held held, std::int64_t count, float* to) {
  with_held<float>(from, held, [&](const auto* weights) {
    for (std::int64_t i = 0; i < count; i += kLanes) store(to + i, load(weights + i));
  });
}

template <class Stored, class T>
void round_values(const void* from, std::int64_t count, void* to) {
  const Stored* values = static_cast<const Stored*>(from);
  T* rounded = static_cast<T*>(to);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(rounded + i, load(values + i));
  for (; i < count; ++i) rounded[i] = to_bf16(to_float(values[i]));
}

template <class T, class P>
constexpr PanelKernels panel_kernels() {
  if constexpr (sizeof(T) < sizeof(float)) {
    return {kPanel,  panel_product<T, P>,    panel_gated<T, kPanel>,
            nullptr, round_values<float, T>, round_values<F16, T>};
  } else {
    return {kPanel, panel_product<T, P>, panel_gated<T, kPanel>, widen, nullptr, nullptr};
  }
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
