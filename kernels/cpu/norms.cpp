#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/function.hpp"
#include "kernels/cpu/parallel.hpp"

namespace diffuse::cpu {
namespace {

// Pixels of one piece: about 256 KiB of floats, by the number of channels alone.
std::int64_t pixels_a_piece(std::int64_t channels) {
  return std::clamp<std::int64_t>(65536 / channels, 16, 512);
}

// y = (x - mean[c]) * factor[c] + shift[c] of one picture.
struct PictureNorm {
  float* mean;
  float* factor;
  float* shift;
};

// The norm of each group from the moments of its pieces, in order.
void merge_pieces(const Moments* pieces, std::int64_t piece_count, std::int64_t piece_pixels,
                  std::int64_t pixels, const GroupNormOp& op, const PictureNorm& norm) {
  const std::int64_t channels = op.x.shape().back();
  const std::int64_t width = channels / op.groups;
  const auto pixels_of = [&](std::int64_t piece) {
    return static_cast<double>(std::min(piece_pixels, pixels - piece * piece_pixels));
  };
  for (std::int64_t g = 0; g < op.groups; ++g) {
    double total = 0;
    for (std::int64_t p = 0; p < piece_count; ++p) {
      total += pixels_of(p) * pieces[p * op.groups + g].mean;
    }
    const double centre = total / static_cast<double>(pixels);
    double squares = 0;
    for (std::int64_t p = 0; p < piece_count; ++p) {
      const Moments& piece = pieces[p * op.groups + g];
      const double d = piece.mean - centre;
      squares += piece.m2 + pixels_of(p) * static_cast<double>(width) * d * d;
    }
    const double variance = squares / static_cast<double>(pixels * width);
    const double inverse = 1 / std::sqrt(variance + static_cast<double>(op.eps));
    for (std::int64_t c = g * width; c < (g + 1) * width; ++c) {
      const double factor = inverse * static_cast<double>(op.scale.data<float>()[c]);
      norm.mean[c] = static_cast<float>(centre);
      norm.factor[c] = static_cast<float>(factor);
      // What rounding the mean takes away goes into the shift.
      const double rest = static_cast<double>(norm.mean[c]) - centre;
      norm.shift[c] =
          static_cast<float>(static_cast<double>(op.shift.data<float>()[c]) + rest * factor);
    }
  }
}

}  // namespace

void CpuBackend::run(const GroupNormOp& op) {
  const std::int64_t batch = op.x.shape()[0];
  const std::int64_t channels = op.x.shape().back();
  if (op.x.shape().elements() == 0) return;
  const std::int64_t pixels = op.x.shape().rows() / batch;
  const std::int64_t piece_pixels = pixels_a_piece(channels);
  const std::int64_t pieces = (pixels + piece_pixels - 1) / piece_pixels;
  const TypedKernels& kernels = this->kernels(op.x.dtype());

  // Scratch: moments of every piece, then for each picture its norm, then sums per thread.
  const auto moments_count = static_cast<std::size_t>(batch * pieces * op.groups);
  const auto picture_floats = static_cast<std::size_t>(3 * batch * channels);
  const auto thread_floats = static_cast<std::size_t>(2 * channels * max_threads());
  std::byte* scratch = scratch_.reserve(moments_count * sizeof(Moments) +
                                        (picture_floats + thread_floats) * sizeof(float));
  auto* moments = reinterpret_cast<Moments*>(scratch);
  auto* norms = reinterpret_cast<float*>(moments + moments_count);
  float* sums = norms + picture_floats;
  const auto norm_of = [&](std::int64_t n) {
    float* at = norms + 3 * n * channels;
    return PictureNorm{at, at + channels, at + 2 * channels};
  };
  const std::size_t element = size_of(op.x.dtype());
  const auto offset_of = [&](std::int64_t item) {
    return static_cast<std::size_t>((item / pieces * pixels + item % pieces * piece_pixels) *
                                    channels) *
           element;
  };
  const auto length_of = [&](std::int64_t item) {
    return std::min(piece_pixels, pixels - item % pieces * piece_pixels);
  };

  parallel_for(batch * pieces, [&](std::int64_t item, int thread) {
    kernels.group_moments(op.x.data<std::byte>() + offset_of(item), length_of(item), channels,
                          op.groups, sums + 2 * channels * thread, moments + item * op.groups);
  });
  for (std::int64_t n = 0; n < batch; ++n) {
    merge_pieces(moments + n * pieces * op.groups, pieces, piece_pixels, pixels, op, norm_of(n));
  }
  parallel_for(batch * pieces, [&](std::int64_t item, int) {
    const PictureNorm norm = norm_of(item / pieces);
    kernels.group_apply(op.x.data<std::byte>() + offset_of(item),
                        op.y.data<std::byte>() + offset_of(item), length_of(item), channels,
                        norm.mean, norm.factor, norm.shift, function_of(op.activation));
  });
}

void CpuBackend::run(const LayerNormOp& op) {
  constexpr std::int64_t kRowsAPiece = 32;
  const std::int64_t channels = op.x.shape().back();
  const std::int64_t rows = op.x.shape().rows();
  const TypedKernels& kernels = this->kernels(op.x.dtype());
  parallel_for(blocks_of(rows, kRowsAPiece), [&](std::int64_t piece, int) {
    const std::int64_t begin = piece * kRowsAPiece;
    const std::size_t offset = static_cast<std::size_t>(begin * channels) * size_of(op.x.dtype());
    kernels.layer_norm(op.x.data<std::byte>() + offset, op.y.data<std::byte>() + offset,
                       std::min(kRowsAPiece, rows - begin), channels, op.scale.data<float>(),
                       op.shift.data<float>(), op.eps);
  });
}

void CpuBackend::run(const GegluOp& op) {
  constexpr std::int64_t kRowsAPiece = 8;
  const std::int64_t channels = op.y.shape().back();
  const std::int64_t rows = op.y.shape().rows();
  const TypedKernels& kernels = this->kernels(op.x.dtype());
  parallel_for(blocks_of(rows, kRowsAPiece), [&](std::int64_t piece, int) {
    const std::int64_t begin = piece * kRowsAPiece;
    const std::size_t offset = static_cast<std::size_t>(begin * channels) * size_of(op.x.dtype());
    kernels.geglu(op.x.data<std::byte>() + 2 * offset, op.y.data<std::byte>() + offset,
                  std::min(kRowsAPiece, rows - begin), channels);
  });
}

void CpuBackend::run(const ActivationOp& op) {
  constexpr std::int64_t kElementsAPiece = 1 << 14;
  const std::int64_t count = op.x.shape().elements();
  const TypedKernels& kernels = this->kernels(op.x.dtype());
  parallel_for(blocks_of(count, kElementsAPiece), [&](std::int64_t piece, int) {
    const std::int64_t begin = piece * kElementsAPiece;
    const std::size_t offset = static_cast<std::size_t>(begin) * size_of(op.x.dtype());
    kernels.activation(op.x.data<std::byte>() + offset, op.y.data<std::byte>() + offset,
                       std::min(kElementsAPiece, count - begin), function_of(op.activation));
  });
}

}  // namespace diffuse::cpu
