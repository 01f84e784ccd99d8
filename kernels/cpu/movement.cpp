#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "core/base/error.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/halves.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/step_index.hpp"

namespace diffuse::cpu {
namespace {

void assign(float& to, float value) { to = value; }
void assign(Bf16& to, float value) { to = to_bf16(value); }

template <class From, class To>
void convert(const From* from, To* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) assign(to[i], to_float(from[i]));
}

// Calls `body` with a null pointer of the element type of `dtype`.
template <class Body>
void with_element(DType dtype, const Body& body) {
  if (dtype == DType::f32) return body(static_cast<float*>(nullptr));
  if (dtype == DType::bf16) return body(static_cast<Bf16*>(nullptr));
  throw DeviceError(std::string(name_of(dtype)) + " tensors are not supported on the CPU");
}

// Calls body(begin, end) for pieces of [0, count).
template <class Body>
void in_pieces(std::int64_t count, std::int64_t piece, const Body& body) {
  parallel_for((count + piece - 1) / piece,
               [&](std::int64_t i, int) { body(i * piece, std::min(count, (i + 1) * piece)); });
}

constexpr std::int64_t kElementsAPiece = 1 << 15;

}  // namespace

std::int64_t step_index(const Tensor& step, std::int64_t size, const char* op) {
  const std::int32_t index = *step.data<std::int32_t>();
  if (index < 0 || index >= size) {
    throw ShapeError(std::string(op) + ": step " + std::to_string(index) + " of " +
                     std::to_string(size));
  }
  return index;
}

void CpuBackend::run(const UpsampleNearestOp& op) {
  const Shape& from = op.x.shape();
  const Shape& to = op.y.shape();
  const std::size_t pixel = static_cast<std::size_t>(from[3]) * size_of(op.x.dtype());
  in_pieces(to[0] * to[1], 1, [&](std::int64_t line, std::int64_t) {
    const std::int64_t n = line / to[1];
    const std::int64_t from_line = n * from[1] + line % to[1] * from[1] / to[1];
    const std::byte* x =
        op.x.data<std::byte>() + static_cast<std::size_t>(from_line * from[2]) * pixel;
    std::byte* y = op.y.data<std::byte>() + static_cast<std::size_t>(line * to[2]) * pixel;
    for (std::int64_t j = 0; j < to[2]; ++j) {
      std::memcpy(y + static_cast<std::size_t>(j) * pixel,
                  x + static_cast<std::size_t>(j * from[2] / to[2]) * pixel, pixel);
    }
  });
}

void CpuBackend::run(const ConcatChannelsOp& op) {
  const std::size_t a_bytes = static_cast<std::size_t>(op.a.shape().back()) * size_of(op.a.dtype());
  const std::size_t b_bytes = static_cast<std::size_t>(op.b.shape().back()) * size_of(op.b.dtype());
  in_pieces(op.y.shape().rows(), 32, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const auto row = static_cast<std::size_t>(r);
      std::byte* y = op.y.data<std::byte>() + row * (a_bytes + b_bytes);
      std::memcpy(y, op.a.data<std::byte>() + row * a_bytes, a_bytes);
      std::memcpy(y + a_bytes, op.b.data<std::byte>() + row * b_bytes, b_bytes);
    }
  });
}

void CpuBackend::run(const CopyOp& op) {
  // A vector is a column of entries of one element each.
  const bool is_vector = op.y.shape().rank() == 1;
  const std::int64_t columns = is_vector ? 1 : op.y.shape().back();
  const std::int64_t x_rows = is_vector ? op.x.shape()[0] : op.x.shape().rows();
  const std::int64_t y_rows = is_vector ? op.y.shape()[0] : op.y.shape().rows();
  const std::int64_t x_stride = is_vector ? 1 : op.x.row_stride();
  const std::int64_t y_stride = is_vector ? 1 : op.y.row_stride();
  if (op.y.shape().elements() == 0) return;
  with_element(op.x.dtype(), [&]<class From>(From*) {
    with_element(op.y.dtype(), [&]<class To>(To*) {
      const std::int64_t piece = std::max<std::int64_t>(1, kElementsAPiece / columns);
      in_pieces(y_rows, piece, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
          convert(op.x.data<From>() + r % x_rows * x_stride, op.y.data<To>() + r * y_stride,
                  columns);
        }
      });
    });
  });
}

void CpuBackend::run(const SelectRowOp& op) {
  const std::int64_t index = step_index(op.step, op.table.shape()[0], "select_row");
  const std::size_t bytes = op.y.bytes();
  std::memcpy(op.y.data<std::byte>(),
              op.table.data<std::byte>() + static_cast<std::size_t>(index) * bytes, bytes);
}

void CpuBackend::run(const ScaleInputOp& op) {
  const std::int64_t index = step_index(op.step, op.factors.shape().elements(), "scale_input");
  const float factor = op.factors.data<float>()[index];
  const std::int64_t count = op.x.shape().elements();
  with_element(op.y.dtype(), [&]<class To>(To*) {
    for (std::int64_t i = 0; i < op.y.shape().elements(); ++i) {
      assign(op.y.data<To>()[i], factor * op.x.data<float>()[i % count]);
    }
  });
}

void CpuBackend::run(const PixelsOp& op) {
  with_element(op.x.dtype(), [&]<class From>(From*) {
    in_pieces(op.y.shape().elements(), kElementsAPiece, [&](std::int64_t begin, std::int64_t end) {
      const From* x = op.x.data<From>();
      auto* y = op.y.data<std::uint8_t>();
      for (std::int64_t i = begin; i < end; ++i) {
        const float value = to_float(x[i]) / 2 + 0.5F;
        const float clamped = value > 0 ? std::min(value, 1.0F) : 0.0F;  // NaN gives 0
        y[i] = static_cast<std::uint8_t>(std::nearbyint(255 * clamped));
      }
    });
  });
}

}  // namespace diffuse::cpu
