#pragma once

#include "kernels/plans/plan_table.hpp"

namespace diffuse::test {

inline PlanMachine example_machine() { return {"NVIDIA H200", 90, "13.0", "9.19.0", "13.1.0"}; }

inline ConvolutionShape example_convolution(std::int64_t channels) {
  ConvolutionShape shape;
  shape.batch = kCanonicalBatch;
  shape.height = shape.width = 64;
  shape.channels = shape.out_channels = channels;
  shape.kernel_height = shape.kernel_width = 3;
  shape.pad_top = shape.pad_left = shape.pad_bottom = shape.pad_right = 1;
  shape.bias = true;
  return shape;
}

inline LinearShape example_linear(std::int64_t out) {
  LinearShape shape;
  shape.rows = 65536;
  shape.in = shape.x_stride = 320;
  shape.out = shape.y_stride = out;
  shape.dtype = DType::bf16;
  shape.out_dtype = DType::f32;
  shape.picture_rows = 4096;
  return shape;
}

inline AttentionShape example_attention(std::int64_t queries = 4096) {
  return {.batch = 16,
          .heads = 8,
          .head_dim = 40,
          .queries = queries,
          .keys = 77,
          .q_stride = 320,
          .k_stride = 640,
          .v_stride = 640,
          .y_stride = 320,
          .dtype = DType::f16,
          .causal = true};
}

/// Choices of every kind, one of them each "a kernel of our own".
inline PlanTable example_table() {
  PlanTable table;
  table.machine = example_machine();
  table.tuned = "0123abcd";
  table.convolutions[example_convolution(320)] = EngineChoice{41, {{0, 1}, {22, -3}}};
  table.convolutions[example_convolution(640)] = std::nullopt;
  AlgorithmChoice algorithm{};
  for (std::size_t i = 0; i < algorithm.size(); ++i)
    algorithm[i] = static_cast<std::uint8_t>(i * 37);
  table.linears[example_linear(320)] = algorithm;
  table.linears[example_linear(960)] = std::nullopt;
  table.attentions[example_attention()] = EngineChoice{8, {}};
  table.attentions[example_attention(1024)] = OwnAttention::wgmma;
  table.attentions[example_attention(256)] = std::nullopt;
  return table;
}

}  // namespace diffuse::test
