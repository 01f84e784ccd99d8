#include <cstring>

#include "core/base/error.hpp"
#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/kernel_weight.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/weights.hpp"

namespace diffuse::cpu {
namespace {

// Copies `rows` rows of `bytes` bytes; strides in bytes.
void copy_rows(const std::byte* from, std::size_t from_stride, std::byte* to, std::size_t to_stride,
               std::int64_t rows, std::size_t bytes) {
  constexpr std::int64_t kRowsAPiece = 64;
  parallel_for((rows + kRowsAPiece - 1) / kRowsAPiece, [&](std::int64_t piece, int) {
    const std::int64_t end = std::min(rows, (piece + 1) * kRowsAPiece);
    for (std::int64_t r = piece * kRowsAPiece; r < end; ++r) {
      const auto row = static_cast<std::size_t>(r);
      std::memcpy(to + row * to_stride, from + row * from_stride, bytes);
    }
  });
}

std::size_t row_bytes(const Tensor& t) {
  return static_cast<std::size_t>(t.shape().back()) * size_of(t.dtype());
}
std::size_t stride_bytes(const Tensor& t) {
  return static_cast<std::size_t>(t.row_stride()) * size_of(t.dtype());
}

void copy_tensor(const Tensor& from, std::byte* to) {
  copy_rows(from.data<std::byte>(), stride_bytes(from), to, row_bytes(from), from.shape().rows(),
            row_bytes(from));
}

}  // namespace

void CpuBackend::run(const LinearOp& op) {
  const std::int64_t rows = op.x.shape().rows();
  if (rows == 0) return;
  Convolution c;
  c.channels = op.weight.shape[1];
  c.out_channels = op.weight.shape[0];
  c.dtype = op.x.dtype();
  c.out_dtype = op.y.dtype();
  c.bias = !op.bias.empty();
  c.accumulate = !op.residual.empty();
  c.activation = op.activation;

  // Strided operands pass through packed copies: oneDNN's fast kernels take none.
  const bool pack_x = !op.x.contiguous();
  const bool pack_y = !op.y.contiguous();
  const std::size_t x_bytes = pack_x ? (op.x.bytes() + 63) / 64 * 64 : 0;
  std::byte* scratch = pack_x || pack_y ? scratch_.reserve(x_bytes + op.y.bytes()) : nullptr;
  const std::byte* x = op.x.data<std::byte>();
  std::byte* y = op.y.data<std::byte>();
  if (pack_x) {
    copy_tensor(op.x, scratch);
    x = scratch;
  }
  if (pack_y) y = scratch + x_bytes;
  const std::byte* residual = c.accumulate ? op.residual.data<std::byte>() : nullptr;
  if (c.accumulate && !op.residual.contiguous()) {
    copy_tensor(op.residual, y);
    residual = y;
  }

  // Entries are the pictures of the convolution, one pixel wide: none depends on another.
  c.batch = op.x.shape().rank() > 1 ? op.x.shape()[0] : 1;
  c.height = rows / c.batch;
  onednn_.run(c, static_cast<const ConvolutionWeight&>(*op.weight.prepared), x,
              c.bias ? op.bias.data<float>() : nullptr, residual, y, onednn_scratch_);
  if (pack_y) {
    copy_rows(y, row_bytes(op.y), op.y.data<std::byte>(), stride_bytes(op.y), rows,
              row_bytes(op.y));
  }
}

void CpuBackend::run(const Conv2dOp& op) {
  if (op.y.shape().elements() == 0) return;
  const Convolution c = convolution_of(op);
  const auto& weight = static_cast<const KernelWeight&>(*op.weight.prepared);
  if (by_winograd(c)) {
    return run_winograd(op, winograd_form(weight, onednn_), kernels(c.dtype).winograd, scratch_);
  }
  onednn_.run(
      c, direct_form(weight, onednn_), op.x.data<void>(), c.bias ? op.bias.data<float>() : nullptr,
      c.accumulate ? op.residual.data<void>() : nullptr, op.y.data<void>(), onednn_scratch_);
}

void CpuBackend::run(const EmbeddingOp& op) {
  const std::int64_t width = op.y.shape()[2];
  const std::int64_t length = op.y.shape()[1];
  const auto* ids = op.ids.data<std::int32_t>();
  const void* tokens = static_cast<const PlainWeight&>(*op.tokens.prepared).data.get();
  const void* positions = static_cast<const PlainWeight&>(*op.positions.prepared).data.get();
  for (std::int64_t i = 0; i < op.ids.shape().elements(); ++i) {
    const std::int64_t token = ids[i] * width;
    const std::int64_t position = i % length * width;
    for (std::int64_t c = 0; c < width; ++c) {
      if (op.y.dtype() == DType::f32) {
        op.y.data<float>()[i * width + c] = static_cast<const float*>(tokens)[token + c] +
                                            static_cast<const float*>(positions)[position + c];
      } else {
        op.y.data<Bf16>()[i * width + c] =
            to_bf16(to_float(static_cast<const Bf16*>(tokens)[token + c]) +
                    to_float(static_cast<const Bf16*>(positions)[position + c]));
      }
    }
  }
}

}  // namespace diffuse::cpu
