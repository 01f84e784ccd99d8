#include "core/tensor/decorators.hpp"

#include <chrono>

namespace diffuse {

void TracingBackend::execute(const Op& op) {
  const auto start = std::chrono::steady_clock::now();
  ForwardingBackend::execute(op);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;

  std::string first;
  std::string last;
  for_each_tensor(op, [&](const Tensor& tensor, Access access) {
    if (first.empty()) first = tensor.shape().str();
    if (access == Access::write) last = tensor.shape().str();
  });
  Line& line = lines_[std::string(name_of(op)) + " " + first + " -> " + last];
  const OpCost cost = cost_of(op);
  ++line.calls;
  line.seconds += taken.count();
  line.cost.flops += cost.flops;
  line.cost.activation_bytes += cost.activation_bytes;
  line.cost.weight_bytes += cost.weight_bytes;
}

}  // namespace diffuse
