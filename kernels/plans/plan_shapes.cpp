#include "kernels/plans/plan_shapes.hpp"

namespace diffuse {
namespace {

constexpr std::int64_t kAlignment = 16;

// Address and bytes from row to row, whose common divisors are those of all rows.
std::uintptr_t places_of(const Tensor& t) {
  const auto row = static_cast<std::uintptr_t>(t.row_stride()) * size_of(t.dtype());
  const bool placed = t.storage()->data != nullptr;
  return placed ? reinterpret_cast<std::uintptr_t>(t.data<void>()) | row : row;
}

std::int64_t alignment_of(std::uintptr_t together) {
  std::int64_t alignment = kAlignment;
  while (together % static_cast<std::uintptr_t>(alignment) != 0) alignment /= 2;
  return alignment;
}

}  // namespace

ConvolutionShape ConvolutionShape::with_batch(std::int64_t other) const {
  ConvolutionShape shape = *this;
  shape.batch = other;
  return shape;
}

LinearShape LinearShape::canonical() const {
  LinearShape shape = *this;
  shape.rows = kCanonicalBatch * picture_rows;
  return shape;
}

AttentionShape AttentionShape::with_batch(std::int64_t other) const {
  AttentionShape shape = *this;
  shape.batch = other;
  return shape;
}

ConvolutionShape shape_of(const Conv2dOp& op) {
  const Shape& x = op.x.shape();
  ConvolutionShape shape;
  shape.batch = x[0];
  shape.height = x[1];
  shape.width = x[2];
  shape.channels = x[3];
  shape.out_channels = op.weight.shape[0];
  shape.kernel_height = op.weight.shape[2];
  shape.kernel_width = op.weight.shape[3];
  shape.stride = op.stride;
  shape.pad_top = op.pad_top;
  shape.pad_left = op.pad_left;
  shape.pad_bottom = op.pad_bottom;
  shape.pad_right = op.pad_right;
  shape.dtype = op.x.dtype();
  shape.bias = !op.bias.empty() && op.residual.empty();
  return shape;
}

LinearShape shape_of(const LinearOp& op) {
  const std::int64_t rows = op.x.shape().rows();
  LinearShape shape;
  shape.rows = rows;
  shape.in = op.weight.shape[1];
  shape.out = op.weight.shape[0];
  shape.x_stride = rows > 1 ? op.x.row_stride() : shape.in;
  shape.y_stride = rows > 1 ? op.y.row_stride() : shape.out;
  shape.dtype = op.x.dtype();
  shape.out_dtype = op.y.dtype();
  shape.bias = !op.bias.empty();
  shape.residual = op.activation == Activation::none && !op.residual.empty();
  std::uintptr_t places = places_of(op.x) | places_of(op.y) |
                          static_cast<std::uintptr_t>(shape.in) * size_of(shape.dtype);
  if (shape.residual) {
    shape.residual_stride = rows > 1 ? op.residual.row_stride() : shape.out;
    places |= places_of(op.residual);
  }
  shape.alignment = alignment_of(places);
  shape.picture_rows = op.x.shape().rank() > 1 && rows > 0 ? rows / op.x.shape()[0] : rows;
  return shape;
}

AttentionShape shape_of(const AttentionOp& op) {
  AttentionShape shape;
  shape.batch = op.q.shape()[0];
  shape.heads = op.heads;
  shape.head_dim = op.q.shape().back() / op.heads;
  shape.queries = op.q.shape()[1];
  shape.keys = op.k.shape()[1];
  shape.q_stride = op.q.row_stride();
  shape.k_stride = op.k.row_stride();
  shape.v_stride = op.v.row_stride();
  shape.y_stride = op.y.row_stride();
  shape.dtype = op.q.dtype();
  shape.causal = op.causal;
  return shape;
}

std::optional<PlanShape> canonical_shape_of(const Op& op) {
  if (const auto* convolution = std::get_if<Conv2dOp>(&op))
    return shape_of(*convolution).canonical();
  if (const auto* linear = std::get_if<LinearOp>(&op)) return shape_of(*linear).canonical();
  if (const auto* attention = std::get_if<AttentionOp>(&op))
    return shape_of(*attention).canonical();
  return std::nullopt;
}

}  // namespace diffuse
