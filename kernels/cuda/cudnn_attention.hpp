#pragma once

#include "kernels/cuda/cudnn_engines.hpp"

namespace diffuse::cuda {

/// What attention's tensors are called in a plan; the scale is an f32 on the host.
enum AttentionUid : std::int64_t { kUidQ = 1, kUidK = 2, kUidV = 3, kUidO = 4, kUidScale = 5 };

/// softmax(scale q k^T) v as cuDNN's one operation for it, on rows where they lie: heads beside one
/// another, queries, keys and values packed or not. Empty where cuDNN does not take it: before
/// 9.13.1; f32; head_dim or strides that are no multiples of 8; causal masks, which the operation
/// knows from 9.21 on only and which the text encoder alone has.
CudnnDescriptor attention_graph(const AttentionShape& shape, const CudnnTarget& target);

}  // namespace diffuse::cuda
