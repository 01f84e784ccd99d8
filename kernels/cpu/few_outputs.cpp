#include "kernels/cpu/few_outputs.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <vector>

#include "kernels/cpu/halves.hpp"
#include "kernels/cpu/parallel.hpp"

namespace diffuse::cpu {
namespace {

// Pixels that meet the panels one after another.
constexpr std::int64_t kStripPixels = 256;
// Bands of rows that a thread gets, at least; the rows around a band are computed twice.
constexpr std::int64_t kBands = 4;
// Outputs that are added up at once.
constexpr std::int64_t kLanes = 4;
using Lanes [[gnu::vector_size(kLanes * sizeof(float))]] = float;

// The 1x1 convolution to a column for each of the kernel's pixels and outputs.
Convolution columns_of(const Convolution& shape) {
  Convolution columns;
  columns.dtype = shape.dtype;
  columns.channels = shape.channels;
  columns.out_channels = shape.kernel_height * shape.kernel_width * shape.out_channels;
  return columns;
}

// A call of run_few_outputs: bands of rows of pictures. A thread keeps the products of as many rows
// as the kernel has.
class Run {
 public:
  Run(const Conv2dOp& op, const PanelWeight& weight, const PanelKernels& kernels, Scratch& scratch)
      : op_(op),
        shape_(convolution_of(op)),
        weights_(static_cast<const std::byte*>(weight.data.get())),
        kernels_(kernels),
        columns_(columns_of(shape_).out_channels),
        panel_bytes_(panel_values(kernels, shape_.channels, shape_.dtype) *
                     static_cast<std::int64_t>(size_of(shape_.dtype))),
        pixel_floats_(blocks_of(columns_, kernels.columns) * kernels.columns),
        row_floats_(shape_.width * pixel_floats_),
        lanes_(blocks_of(shape_.out_channels, kLanes) * kLanes),
        band_rows_(std::max(shape_.kernel_height,
                            blocks_of(shape_.batch * shape_.out_height(), kBands * max_threads()))),
        bands_(blocks_of(shape_.out_height(), band_rows_)) {
    const std::int64_t floats =
        shape_.kernel_height * row_floats_ + shape_.out_width() * shape_.out_channels + lanes_;
    thread_bytes_ = blocks_of(floats * static_cast<std::int64_t>(sizeof(float)), 64) * 64;
    memory_ = scratch.reserve(static_cast<std::size_t>(max_threads() * thread_bytes_));
  }

  void all() const {
    parallel_for(shape_.batch * bands_, [&](std::int64_t item, int thread) {
      band(item / bands_, item % bands_ * band_rows_, thread);
    });
  }

 private:
  void band(std::int64_t picture, std::int64_t begin, int thread) const {
    auto* products = reinterpret_cast<float*>(memory_ + thread * thread_bytes_);
    float* sums = products + shape_.kernel_height * row_floats_;
    const std::int64_t end = std::min(begin + band_rows_, shape_.out_height());
    std::int64_t coming = std::max<std::int64_t>(0, begin - shape_.pad_top);
    for (std::int64_t h = begin; h < end; ++h) {
      const std::int64_t top = h - shape_.pad_top;
      const std::int64_t bottom = std::min(shape_.height, top + shape_.kernel_height);
      for (; coming < bottom; ++coming) {
        multiply(picture * shape_.height + coming, products + slot(coming));
      }
      if (lanes_ == kLanes) {
        add_up<1>(products, top, sums);
      } else {
        add_up<2>(products, top, sums);
      }
      const std::int64_t pixel = (picture * shape_.out_height() + h) * shape_.out_width();
      if (op_.y.dtype() == DType::f32) {
        put_row<float>(sums, pixel * shape_.out_channels);
      } else {
        put_row<Bf16>(sums, pixel * shape_.out_channels);
      }
    }
  }

  // Where a row's products lie.
  [[nodiscard]] std::int64_t slot(std::int64_t row) const {
    return row % shape_.kernel_height * row_floats_;
  }

  // products[p, :] = x[p, :] W for the pixels p of a row.
  void multiply(std::int64_t row, float* products) const {
    PanelProduct product{};
    product.depth = shape_.channels;
    product.fresh = true;
    product.x_stride = op_.x.row_stride() * static_cast<std::int64_t>(size_of(shape_.dtype));
    ProductRow rows[kStripPixels];
    product.rows = rows;
    const std::int64_t x_bytes = product.x_stride;
    const std::byte* x = op_.x.data<std::byte>() + row * shape_.width * x_bytes;
    const std::int64_t left = (shape_.batch * shape_.height - row) * shape_.width;  // pixels of x
    for (std::int64_t strip = 0; strip < shape_.width; strip += kStripPixels) {
      product.count = std::min(kStripPixels, shape_.width - strip);
      product.next_x = x + (strip + product.count) * x_bytes;
      product.next_x_bytes = std::min(kStripPixels, left - strip - product.count) * x_bytes;
      for (std::int64_t column = 0; column < columns_; column += kernels_.columns) {
        for (std::int64_t p = 0; p < product.count; ++p) {
          rows[p] = {x + (strip + p) * x_bytes, products + (strip + p) * pixel_floats_ + column};
        }
        product.columns = std::min(kernels_.columns, columns_ - column);
        product.panel = weights_ + column / kernels_.columns * panel_bytes_;
        product.next = product.panel;
        kernels_.product(product);
      }
    }
  }

  // sums[w, :] = bias + sum_{s,t} products[top + s, w - pad_left + t, (s, t), :] in whole lanes:
  // what the last of them holds too much, the next pixel writes over.
  template <int kVectors>
  void add_up(const float* products, std::int64_t top, float* sums) const {
    const Convolution shape = shape_;  // in no memory that the sums might lie in
    const std::int64_t pixel = pixel_floats_, row = row_floats_;
    const std::int64_t next = pixel + shape.out_channels;
    const std::int64_t kernel_row = shape.kernel_width * shape.out_channels;
    const std::int64_t above = std::max<std::int64_t>(0, -top);
    const std::int64_t rows = std::min(shape.kernel_height, shape.height - top) - above;
    const float* first = products + slot(top + above);
    const float* end = products + shape.kernel_height * row;
    Lanes bias[kVectors] = {};
    if (!op_.bias.empty()) {
      std::copy_n(op_.bias.data<float>(), shape.out_channels, reinterpret_cast<float*>(bias));
    }
    for (std::int64_t w = 0; w < shape.out_width(); ++w, sums += shape.out_channels) {
      const std::int64_t left = w - shape.pad_left;
      const std::int64_t before = std::max<std::int64_t>(0, -left);
      const std::int64_t taps = std::min(shape.kernel_width, shape.width - left) - before;
      const std::int64_t offset = above * kernel_row + left * pixel + before * next;
      Lanes sum[kVectors];
      std::memcpy(sum, bias, sizeof sum);
      const float* from = first;
      for (std::int64_t r = 0; r < rows; ++r) {
        const float* seen = from + offset + r * kernel_row;
        if (taps == 3) {  // the usual ones, unrolled
          add_taps<kVectors>(seen, std::integral_constant<std::int64_t, 3>(), next, sum);
        } else {
          add_taps<kVectors>(seen, taps, next, sum);
        }
        from += row;
        if (from == end) from = products;
      }
      std::memcpy(sums, sum, sizeof sum);
    }
  }

  template <int kVectors, class Taps>
  static void add_taps(const float* from, Taps taps, std::int64_t next, Lanes (&sum)[kVectors]) {
    for (std::int64_t tap = 0; tap < taps; ++tap, from += next) {
      Lanes values[kVectors];
      std::memcpy(values, from, sizeof values);
      for (int v = 0; v < kVectors; ++v) sum[v] += values[v];
    }
  }

  // `begin`: the row's first value in y and in what is added to it.
  template <class T>
  void put_row(const float* sums, std::int64_t begin) const {
    const std::int64_t count = shape_.out_width() * shape_.out_channels;
    const T* residual = op_.residual.empty() ? nullptr : op_.residual.data<T>() + begin;
    T* y = op_.y.data<T>() + begin;
    for (std::int64_t i = 0; i < count; ++i) {
      const float value = residual == nullptr ? sums[i] : sums[i] + to_float(residual[i]);
      if constexpr (std::is_same_v<T, float>) {
        y[i] = value;
      } else {
        y[i] = to_bf16(value);
      }
    }
  }

  const Conv2dOp& op_;
  Convolution shape_;
  const std::byte* weights_;
  const PanelKernels& kernels_;
  std::int64_t columns_;  // that a pixel's products have
  std::int64_t panel_bytes_, pixel_floats_, row_floats_;
  std::int64_t lanes_;  // that outputs are added up in
  std::int64_t band_rows_, bands_;
  std::int64_t thread_bytes_ = 0;
  std::byte* memory_ = nullptr;
};

}  // namespace

bool has_few_outputs(const Convolution& shape) {
  constexpr std::int64_t kLeastChannels = 32, kMostOutputs = 7;  // of 3x3: 63 columns
  return shape.channels >= kLeastChannels && shape.out_channels <= kMostOutputs &&
         shape.stride == 1 && shape.kernel_height * shape.kernel_width > 1;
}

std::shared_ptr<const PanelWeight> prepare_few_outputs(const WeightInput& input,
                                                       const PanelKernels& kernels,
                                                       const Convolution& shape) {
  std::vector<float> columns;
  const auto by_column = [&] {
    const std::int64_t taps = shape.kernel_height * shape.kernel_width;
    const std::vector<float> values = widened(input, taps * shape.out_channels * shape.channels);
    columns.resize(static_cast<std::size_t>(taps * shape.out_channels * shape.channels));
    float* to = columns.data();
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t row = 0; row < shape.out_channels * shape.channels; ++row) {
        *to++ = values[static_cast<std::size_t>(row * taps + tap)];
      }
    }
    return reinterpret_cast<const std::byte*>(columns.data());
  };
  return prepare_panels({input.allocate, DType::f32, by_column}, kernels, columns_of(shape));
}

void run_few_outputs(const Conv2dOp& op, const PanelWeight& weight, const PanelKernels& kernels,
                     Scratch& scratch) {
  Run(op, weight, kernels, scratch).all();
}

}  // namespace diffuse::cpu
