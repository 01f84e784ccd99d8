#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/few_outputs.hpp"
#include "kernels/cpu/halves.hpp"
#include "kernels/cpu/kernel_weight.hpp"
#include "kernels/cpu/panels.hpp"
#include "kernels/cpu/weights.hpp"

namespace diffuse::cpu {

void CpuBackend::run(const LinearOp& op) {
  run_panels(op, static_cast<const PanelWeight&>(*op.weight.prepared), kernels(op.x.dtype()).panels,
             scratch_);
}

void CpuBackend::run(const Conv2dOp& op) {
  if (op.y.shape().elements() == 0) return;
  const Convolution c = convolution_of(op);
  const TypedKernels& typed = kernels(c.dtype);
  if (has_few_outputs(c)) {
    return run_few_outputs(op, static_cast<const PanelWeight&>(*op.weight.prepared), typed.panels,
                           scratch_);
  }
  if (!fills_panels(c)) {
    return onednn_.run(c, static_cast<const ConvolutionWeight&>(*op.weight.prepared),
                       op.x.data<void>(), c.bias ? op.bias.data<float>() : nullptr,
                       c.accumulate ? op.residual.data<void>() : nullptr, op.y.data<void>(),
                       onednn_scratch_);
  }
  const auto& weight = static_cast<const KernelWeight&>(*op.weight.prepared);
  if (by_winograd(c)) {
    return run_winograd(op, winograd_form(weight, typed.panels), typed.winograd, scratch_);
  }
  run_panels(op, panel_form(weight, typed.panels), typed.panels, scratch_);
}

namespace {

// A row of a table, widened.
void read_row(const PlainWeight& table, DType use, std::int64_t row, std::int64_t width,
              float* to) {
  const auto* rows = static_cast<const std::byte*>(table.data.get());
  with_stored(held_dtype(table.held, use), [&]<class T>(T) {
    for (std::int64_t c = 0; c < width; ++c) to[c] = to_float(stored_at<T>(rows, row * width + c));
  });
}

}  // namespace

void CpuBackend::run(const EmbeddingOp& op) {
  const std::int64_t width = op.y.shape()[2];
  const std::int64_t length = op.y.shape()[1];
  const DType dtype = op.y.dtype();
  const auto* ids = op.ids.data<std::int32_t>();
  const auto& tokens = static_cast<const PlainWeight&>(*op.tokens.prepared);
  const auto& positions = static_cast<const PlainWeight&>(*op.positions.prepared);
  std::vector<float> token(static_cast<std::size_t>(width)), position(token);
  for (std::int64_t i = 0; i < op.ids.shape().elements(); ++i) {
    read_row(tokens, dtype, ids[i], width, token.data());
    read_row(positions, dtype, i % length, width, position.data());
    for (std::int64_t c = 0; c < width; ++c) {
      const auto at = static_cast<std::size_t>(c);
      const float sum = token[at] + position[at];
      if (dtype == DType::f32) {
        op.y.data<float>()[i * width + c] = sum;
      } else {
        op.y.data<Bf16>()[i * width + c] = to_bf16(sum);
      }
    }
  }
}

}  // namespace diffuse::cpu
