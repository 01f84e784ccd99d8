#include "core/tensor/decorators.hpp"

#include <chrono>

namespace diffuse {
namespace {

std::string sizes(const Shape& shape) {
  std::string text;
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    text += (i == 0 ? "" : "x") + std::to_string(shape[i]);
  }
  return text;
}

}  // namespace

std::string label_of(const Op& op) {
  std::string label(name_of(op));
  if (const auto* conv = std::get_if<Conv2dOp>(&op)) {
    const Shape& kernel = conv->weight.shape;
    label += " " + std::to_string(kernel[2]) + "x" + std::to_string(kernel[3]) + " " +
             sizes(conv->x.shape()) + " -> " + std::to_string(kernel[0]);
    if (conv->stride != 1) label += ", stride " + std::to_string(conv->stride);
    return label;
  }
  if (const auto* linear = std::get_if<LinearOp>(&op)) {
    return label + " " + sizes(linear->x.shape()) + " -> " +
           std::to_string(linear->weight.shape[0]) + (linear->geglu ? ", geglu" : "");
  }
  if (const auto* attention = std::get_if<AttentionOp>(&op)) {
    const Shape& q = attention->q.shape();
    return label + " " + std::to_string(q[0]) + "x" + std::to_string(q[1]) + ", " +
           std::to_string(attention->heads) + " heads of " +
           std::to_string(q[2] / attention->heads) + ", " +
           std::to_string(attention->k.shape()[1]) + " keys";
  }
  std::string first;
  std::string last;
  for_each_tensor(op, [&](const Tensor& tensor, Access access) {
    if (first.empty()) first = sizes(tensor.shape());
    if (access == Access::write) last = sizes(tensor.shape());
  });
  return label + " " + first + " -> " + last;
}

void TracingBackend::execute(const Op& op) {
  ForwardingBackend::wait();  // for what was written since the last op
  const auto start = std::chrono::steady_clock::now();
  ForwardingBackend::execute(op);
  ForwardingBackend::wait();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;

  Line& line = lines_[label_of(op)];
  const OpCost cost = cost_of(op);
  ++line.calls;
  line.seconds += taken.count();
  line.cost.flops += cost.flops;
  line.cost.activation_bytes += cost.activation_bytes;
  line.cost.weight_bytes += cost.weight_bytes;
}

}  // namespace diffuse
