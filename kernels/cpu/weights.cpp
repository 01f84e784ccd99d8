#include "kernels/cpu/weights.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <string>

#include "core/base/error.hpp"
#include "core/tensor/shape_backend.hpp"
#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/few_outputs.hpp"
#include "kernels/cpu/kernel_weight.hpp"
#include "kernels/cpu/panels.hpp"
#include "kernels/cpu/parallel.hpp"

namespace diffuse::cpu {
namespace {

constexpr std::int64_t kChunk = 1 << 16;

float from_f16(std::uint16_t half) {
  // Shifting the exponent into place and multiplying by 2^112 is exact, subnormal halves included.
  const std::uint32_t magnitude = (half & 0x7FFFU) << 13;
  const float value = __builtin_bit_cast(float, magnitude) * 0x1p112F;
  return (half & 0x8000U) != 0 ? -value : value;
}

// `count` stored values, at any address, as f32; index of the first that is not finite, or -1.
std::int64_t widen(const std::byte* from, DType dtype, std::int64_t count, float* to) {
  std::uint32_t bad = 0;
  if (dtype == DType::f32) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
    for (std::int64_t i = 0; i < count; ++i) {
      const auto bits = __builtin_bit_cast(std::uint32_t, to[i]);
      bad |= static_cast<std::uint32_t>((bits & 0x7F800000U) == 0x7F800000U);
    }
  } else {
    const std::uint32_t exponent = dtype == DType::f16 ? 0x7C00U : 0x7F80U;
    for (std::int64_t i = 0; i < count; ++i) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, from + 2 * i, sizeof(bits));
      bad |= static_cast<std::uint32_t>((bits & exponent) == exponent);
      to[i] = dtype == DType::f16 ? from_f16(bits) : to_float(Bf16{bits});
    }
  }
  if (bad == 0) return -1;
  for (std::int64_t i = 0; i < count; ++i) {
    if (dtype == DType::f16) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, from + 2 * i, sizeof(bits));
      if ((bits & 0x7C00U) == 0x7C00U) return i;
    } else if ((__builtin_bit_cast(std::uint32_t, to[i]) & 0x7F800000U) == 0x7F800000U) {
      return i;
    }
  }
  return -1;
}

void widen_all(const StoredWeight& part, float* to) {
  const std::int64_t count = part.shape.elements();
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  std::atomic<std::int64_t> first_bad{kNone};
  parallel_for(blocks_of(count, kChunk), [&](std::int64_t chunk, int) {
    const std::int64_t begin = chunk * kChunk;
    const std::int64_t length = std::min(kChunk, count - begin);
    const std::byte* from =
        part.bytes.data() + static_cast<std::size_t>(begin) * size_of(part.dtype);
    const std::int64_t bad = widen(from, part.dtype, length, to + begin);
    if (bad < 0) return;
    std::int64_t seen = first_bad.load();
    while (begin + bad < seen && !first_bad.compare_exchange_weak(seen, begin + bad)) {
    }
  });
  if (first_bad.load() != kNone) {
    throw InputError(ExitCode::bad_model,
                     "non-finite value at element " + std::to_string(first_bad.load()));
  }
}

std::shared_ptr<const PreparedWeight> prepare_embedding(const WeightInput& input,
                                                        std::int64_t count, DType dtype) {
  auto weight = std::make_shared<PlainWeight>();
  const WeightMemory::Block block =
      input.allocate(static_cast<std::size_t>(count) * size_of(dtype));
  weight->data = block.data;
  if (!block.fill) return weight;
  const float* values = input.values();
  if (dtype == DType::f32) {
    std::memcpy(weight->data.get(), values, static_cast<std::size_t>(count) * sizeof(float));
  } else {
    auto* to = static_cast<Bf16*>(weight->data.get());
    for (std::int64_t i = 0; i < count; ++i) to[i] = to_bf16(values[i]);
  }
  return weight;
}

// The shape whose layout a weight gets; a linear layer's does not depend on its rows.
Convolution usual_convolution(const Shape& shape, const WeightUse& use) {
  Convolution usual;
  usual.dtype = use.dtype;
  usual.out_dtype = use.dtype;
  usual.out_channels = shape[0];
  usual.channels = shape[1];
  usual.bias = true;
  if (use.role == WeightRole::linear) return usual;
  usual.kernel_height = shape[2];
  usual.kernel_width = shape[3];
  usual.height = std::max<std::int64_t>(use.height > 0 ? use.height : 32, shape[2]);
  usual.width = std::max<std::int64_t>(use.width > 0 ? use.width : 32, shape[3]);
  usual.stride = use.stride;
  usual.pad_top = usual.pad_bottom = shape[2] / 2;
  usual.pad_left = usual.pad_right = shape[3] / 2;
  return usual;
}

}  // namespace

Weight CpuBackend::prepare(std::span<const StoredWeight> parts, const WeightUse& use) {
  set_threads();
  if (const std::string why = refuses(use.dtype); !why.empty()) throw DeviceError(why);
  const Shape shape = stacked_shape(parts, use);
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    if (shape[i] == 0) throw ShapeError("prepare: the weight " + shape.str() + " is empty");
  }

  const WeightInput input{[this](std::size_t bytes) {
                            if (weight_memory_ != nullptr) return weight_memory_->next(bytes);
                            return WeightMemory::Block{weight_pool_.allocate(bytes), true};
                          },
                          [&] {
                            // One tensor's temporary, kept for the next: fresh memory costs more
                            // than widening into it.
                            auto* values = reinterpret_cast<float*>(loading_scratch_.reserve(
                                static_cast<std::size_t>(shape.elements()) * sizeof(float)));
                            float* to = values;
                            for (const StoredWeight& part : parts) {
                              widen_all(part, to);
                              to += part.shape.elements();
                            }
                            return static_cast<const float*>(values);
                          }};
  if (use.role == WeightRole::embedding) {
    return {shape, use, prepare_embedding(input, shape.elements(), use.dtype)};
  }
  const Convolution usual = usual_convolution(shape, use);
  const PanelKernels& panels = kernels(use.dtype).panels;
  if (use.role == WeightRole::linear) return {shape, use, prepare_panels(input, panels, usual)};
  if (has_few_outputs(usual)) return {shape, use, prepare_few_outputs(input, panels, usual)};
  if (!fills_panels(usual)) return {shape, use, onednn_.prepare(input, usual)};
  auto weight = std::make_shared<KernelWeight>();
  weight->usual = usual;
  if (use.height > 0 && use.width > 0 && by_winograd(usual)) {
    weight->winograd = prepare_winograd(input, usual);
  } else {
    weight->panels = prepare_panels(input, panels, usual);
  }
  return {shape, use, weight};
}

void CpuBackend::place_weights(std::shared_ptr<WeightMemory> memory) {
  weight_memory_ = std::move(memory);
}

}  // namespace diffuse::cpu
