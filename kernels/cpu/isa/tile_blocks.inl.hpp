#pragma once

// What products with weights on a tile unit share, of bf16 and of split numbers: the sums of a
// block of 32 rows and 32 columns, and its outputs. Included once per instruction set that has such
// a unit.

namespace diffuse::cpu::DIFFUSE_CPU_ISA {

constexpr std::int64_t kTileColumns = 16;
constexpr std::int64_t kTilePanel = 2 * kTileColumns;

/// Sums of a block before, or null for zeros, and where they go; bytes between rows.
struct TileSums {
  const float* before;
  std::int64_t before_stride;
  float* after;
  std::int64_t after_stride;
};

/// Registers 0 to 3 get the sums before: rows of the first tile of columns and the second, then 16
/// rows below; M times 16 rows.
template <class Tiles, int M>
[[gnu::always_inline]] inline void take_sums(const TileSums& sums) {
  if (sums.before == nullptr) {
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    if constexpr (M == 2) {
      Tiles::template zero<2>();
      Tiles::template zero<3>();
    }
  } else {
    Tiles::template load_once<0>(sums.before, sums.before_stride);
    Tiles::template load_once<1>(sums.before + kTileColumns, sums.before_stride);
    if constexpr (M == 2) {
      const float* below = sums.before + kTileRows * sums.before_stride / 4;
      Tiles::template load_once<2>(below, sums.before_stride);
      Tiles::template load_once<3>(below + kTileColumns, sums.before_stride);
    }
  }
}

/// And they go to where they shall be after.
template <class Tiles, int M>
[[gnu::always_inline]] inline void leave_sums(const TileSums& sums) {
  Tiles::template store<0>(sums.after, sums.after_stride);
  Tiles::template store<1>(sums.after + kTileColumns, sums.after_stride);
  if constexpr (M == 2) {
    float* below = sums.after + kTileRows * sums.after_stride / 4;
    Tiles::template store<2>(below, sums.after_stride);
    Tiles::template store<3>(below + kTileColumns, sums.after_stride);
  }
}

/// What the outputs of a block of rows touch is fetched while it is multiplied, some rows a step.
class OutputAhead {
 public:
  OutputAhead(const PanelOutput* output, std::int64_t columns)
      : output_(output), columns_(columns) {}
  /// Rows [begin, begin + count) get their outputs after some steps.
  void block(std::int64_t begin, std::int64_t count, std::int64_t steps) {
    row_ = begin;
    end_ = output_ == nullptr ? begin : begin + count;
    rows_ = (count + steps - 1) / steps;
  }
  [[gnu::always_inline]] void step() {
    for (const std::int64_t stop = smaller(end_, row_ + rows_); row_ < stop; ++row_) fetch();
  }

 private:
  [[gnu::always_inline]] void fetch() const {
    const std::int64_t row = output_->places == nullptr ? row_ : output_->places[row_];
    if (row < 0) return;
    const std::int64_t each = output_->f32 ? sizeof(float) : sizeof(Bf16);
    const std::int64_t bytes = columns_ * each;
    const auto* y = static_cast<const std::byte*>(output_->y) + row * output_->y_stride * each;
    for (std::int64_t i = 0; i < bytes && !output_->past_caches; i += 64) {
      __builtin_prefetch(y + i, 1);
    }
    if (output_->residual == nullptr) return;
    const auto* residual =
        static_cast<const std::byte*>(output_->residual) + row * output_->residual_stride * each;
    for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(residual + i);
  }

  const PanelOutput* output_;
  std::int64_t columns_;
  std::int64_t row_ = 0, end_ = 0, rows_ = 0;
};

/// Outputs of rows [begin, begin + count), whose sums lie in `sums`.
template <class T, class Fn>
void put_tile_rows(const PanelOutput& output, std::int64_t columns, std::int64_t begin,
                   std::int64_t count, const float (*sums)[kTilePanel]) {
  constexpr int kVecs = kTilePanel / kLanes;
  Vec bias[kVecs];
  for (int v = 0; v < kVecs; ++v) {
    const bool whole = output.bias != nullptr && columns == kTilePanel;
    bias[v] = whole ? load(output.bias + v * kLanes) : zero();
  }
  for (std::int64_t r = 0; r < count; ++r) {
    const std::int64_t row = output.places == nullptr ? begin + r : output.places[begin + r];
    if (row < 0) continue;
    if (columns < kTilePanel) {
      put_row<T, Fn>(output, columns, sums[r], row);
      continue;
    }
    const T* residual = static_cast<const T*>(output.residual);
    if (residual != nullptr) residual += row * output.residual_stride;
    Vec value[kVecs];
    for (int v = 0; v < kVecs; ++v) {
      value[v] = Fn::template apply<float>(add(load(sums[r] + v * kLanes), bias[v]));
      if (residual != nullptr) value[v] = add(value[v], load(residual + v * kLanes));
    }
    T* y = static_cast<T*>(output.y) + row * output.y_stride;
    if (output.past_caches) {
      stream_row(y, value);
    } else {
      for (int v = 0; v < kVecs; ++v) store(y + v * kLanes, value[v]);
    }
  }
}

}  // namespace diffuse::cpu::DIFFUSE_CPU_ISA
