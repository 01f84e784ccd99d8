#include "core/tensor/op.hpp"

namespace diffuse {
namespace {

using Visit = std::function<void(const Tensor&, Access)>;

// The operands of each op: what it reads, then what it writes.
struct Operands {
  const Visit& visit;

  void in(const Tensor& t) const {
    if (!t.empty()) visit(t, Access::read);
  }
  void out(const Tensor& t) const {
    if (!t.empty()) visit(t, Access::write);
  }
  void both(const Tensor& t) const {
    if (!t.empty()) visit(t, Access::update);
  }

  void operator()(const EmbeddingOp& op) const { in(op.ids), out(op.y); }
  void operator()(const LinearOp& op) const { in(op.x), in(op.bias), in(op.residual), out(op.y); }
  void operator()(const Conv2dOp& op) const { in(op.x), in(op.bias), in(op.residual), out(op.y); }
  void operator()(const GroupNormOp& op) const { in(op.x), in(op.scale), in(op.shift), out(op.y); }
  void operator()(const LayerNormOp& op) const { in(op.x), in(op.scale), in(op.shift), out(op.y); }
  void operator()(const AttentionOp& op) const { in(op.q), in(op.k), in(op.v), out(op.y); }
  void operator()(const GegluOp& op) const { in(op.x), out(op.y); }
  void operator()(const ActivationOp& op) const { in(op.x), out(op.y); }
  void operator()(const UpsampleNearestOp& op) const { in(op.x), out(op.y); }
  void operator()(const ConcatChannelsOp& op) const { in(op.a), in(op.b), out(op.y); }
  void operator()(const CopyOp& op) const { in(op.x), out(op.y); }
  void operator()(const SelectRowOp& op) const { in(op.table), in(op.step), out(op.y); }
  void operator()(const ScaleInputOp& op) const {
    in(op.x), in(op.factors), in(op.step), out(op.y);
  }
  void operator()(const SchedulerStepOp& op) const {
    in(op.noise_pred), in(op.guidance), in(op.rows), in(op.noise);
    both(op.sample), both(op.saved), both(op.history), both(op.step);
  }
  void operator()(const PixelsOp& op) const { in(op.x), out(op.y); }
};

double elements(const Shape& shape) { return static_cast<double>(shape.elements()); }

double weight_bytes(const Weight& weight) {
  return elements(weight.shape) * static_cast<double>(size_of(weight.use.dtype));
}

}  // namespace

std::string_view name_of(const Op& op) {
  static constexpr std::string_view kNames[] = {
      "embedding", "linear",     "conv2d",      "group_norm",       "layer_norm",
      "attention", "geglu",      "activation",  "upsample_nearest", "concat_channels",
      "copy",      "select_row", "scale_input", "scheduler_step",   "pixels"};
  static_assert(std::size(kNames) == std::variant_size_v<Op>);
  return kNames[op.index()];
}

void for_each_tensor(const Op& op, const Visit& visit) { std::visit(Operands{visit}, op); }

OpCost cost_of(const Op& op) {
  OpCost cost;
  for_each_tensor(op, [&](const Tensor& t, Access access) {
    cost.activation_bytes += static_cast<double>(t.bytes()) * (access == Access::update ? 2 : 1);
  });
  if (const auto* linear = std::get_if<LinearOp>(&op)) {
    cost.flops = 2 * static_cast<double>(linear->x.shape().rows()) * elements(linear->weight.shape);
    cost.weight_bytes = weight_bytes(linear->weight);
  } else if (const auto* conv = std::get_if<Conv2dOp>(&op)) {
    cost.flops = 2 * static_cast<double>(conv->y.shape().rows()) * elements(conv->weight.shape);
    cost.weight_bytes = weight_bytes(conv->weight);
  } else if (const auto* attention = std::get_if<AttentionOp>(&op)) {
    cost.flops = 4 * elements(attention->q.shape()) * static_cast<double>(attention->k.shape()[1]);
  }
  return cost;
}

}  // namespace diffuse
