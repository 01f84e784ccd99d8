#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/few_outputs.hpp"
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
