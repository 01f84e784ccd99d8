#pragma once

#include <optional>

#include "kernels/cuda/cudnn_engines.hpp"

namespace diffuse::cuda {

/// What a convolution's tensors are called in a plan.
enum CudnnUid : std::int64_t { kUidX = 1, kUidWeight = 2, kUidY = 3, kUidBias = 4, kUidSum = 5 };

/// The graph of a convolution: product, then bias if it has one.
CudnnDescriptor convolution_graph(const ConvolutionShape& shape, const CudnnTarget& target);

/// The first candidate of the strict rule. None: std::nullopt.
std::optional<EngineChoice> choose_engine(const ConvolutionShape& shape, const CudnnTarget& target);

CudnnPlan build_plan(const ConvolutionShape& shape, const EngineChoice& choice,
                     const CudnnTarget& target);

}  // namespace diffuse::cuda
