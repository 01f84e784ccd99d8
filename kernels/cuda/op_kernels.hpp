#pragma once

#include "core/tensor/op.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/weights.hpp"

namespace diffuse::cuda {

// The hand-written kernels, one function per op of core/tensor/op.hpp: formulas and shapes are
// there. Each runs any width, stride and float dtype; none lets a picture's bytes depend on its
// batch.

void run(const EmbeddingOp& op, const Context& context);
void run(const LinearOp& op, const Context& context);
void run(const Conv2dOp& op, const Context& context);
void run(const GroupNormOp& op, const Context& context);
void run(const LayerNormOp& op, const Context& context);
void run(const AttentionOp& op, const Context& context);
void run(const GegluOp& op, const Context& context);
void run(const ActivationOp& op, const Context& context);
void run(const UpsampleNearestOp& op, const Context& context);
void run(const ConcatChannelsOp& op, const Context& context);
void run(const CopyOp& op, const Context& context);
void run(const SelectRowOp& op, const Context& context);
void run(const ScaleInputOp& op, const Context& context);
void run(const SchedulerStepOp& op, const Context& context);
void run(const PixelsOp& op, const Context& context);

/// Attention by tensor cores (f16 and bf16, head_dim 40, 64, 80 or 160, rows that 16-byte copies
/// reach). False, and nothing done, where it does not apply.
bool run_flash_attention(const AttentionOp& op, const Context& context);

/// The same by wgmma: no causal mask, scale > 0, and where the build holds it.
#ifdef DIFFUSE_CUDA_WGMMA
bool run_wgmma_attention(const AttentionOp& op, const Context& context);
#else
inline bool run_wgmma_attention(const AttentionOp&, const Context&) { return false; }
#endif

/// Attention by the plain kernel alone: the fall-back, and the oracle on the device.
void run_plain_attention(const AttentionOp& op, const Context& context);

/// y = activation(y + bias) + residual in place over [rows, columns]: what follows a product whose
/// epilogue holds less.  y rows `y_stride` apart; bias f32 or null.
void run_epilogue(const LinearOp& op, bool add_bias, const Context& context);
void run_epilogue(const Conv2dOp& op, bool add_bias, const Context& context);

/// Whether this build holds kernels for the current device, or such that its driver can translate.
bool kernels_run_here();

/// Converts `count` stored values, elements [first, first + count) of a part with shape
/// [O, I, kh, kw] (or [O, I], kh = kw = 1), to `to`: [O, kh, kw, I] of the use's dtype. The index
/// of the first value that is not finite goes to *first_bad, by minimum.
struct StoredChunk {
  const void* from = nullptr;
  DType from_dtype = DType::f32;
  std::int64_t first = 0, count = 0;
  std::int64_t in = 1, kernel = 1;  ///< I and kh * kw
  void* to = nullptr;
  DType to_dtype = DType::f32;
  unsigned long long* first_bad = nullptr;
};
void convert_weight(const StoredChunk& chunk, const Context& context);

}  // namespace diffuse::cuda
