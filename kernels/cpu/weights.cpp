#include "kernels/cpu/weights.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <string>

#include "core/base/error.hpp"
#include "core/tensor/shape_backend.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/few_outputs.hpp"
#include "kernels/cpu/halves.hpp"
#include "kernels/cpu/kernel_weight.hpp"
#include "kernels/cpu/panels.hpp"
#include "kernels/cpu/parallel.hpp"

namespace diffuse::cpu {
namespace {

constexpr std::int64_t kChunk = 1 << 16;

// Index of the first of `count` stored values that is not finite, or -1.
template <class T>
std::int64_t first_bad(const std::byte* values, std::int64_t count) {
  const auto is_bad = [&](std::int64_t i) {
    const T value = stored_at<T>(values, i);
    if constexpr (std::is_same_v<T, float>) {
      return (__builtin_bit_cast(std::uint32_t, value) & 0x7F800000U) == 0x7F800000U;
    } else {
      constexpr std::uint32_t kExponent = std::is_same_v<T, F16> ? 0x7C00U : 0x7F80U;
      return (value.bits & kExponent) == kExponent;
    }
  };
  std::uint32_t bad = 0;  // without a branch, which could not be done for many at once
  for (std::int64_t i = 0; i < count; ++i) bad |= static_cast<std::uint32_t>(is_bad(i));
  if (bad == 0) return -1;
  std::int64_t first = 0;
  while (!is_bad(first)) ++first;
  return first;
}

void refuse_non_finite(const StoredWeight& part) {
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  const std::int64_t count = part.shape.elements();
  std::atomic<std::int64_t> first{kNone};
  with_stored(part.dtype, [&]<class T>(T) {
    parallel_for(blocks_of(count, kChunk), [&](std::int64_t chunk, int) {
      const std::int64_t begin = chunk * kChunk;
      const std::byte* values = part.bytes.data() + begin * static_cast<std::int64_t>(sizeof(T));
      const std::int64_t bad = first_bad<T>(values, std::min(kChunk, count - begin));
      if (bad < 0) return;
      std::int64_t seen = first.load();
      while (begin + bad < seen && !first.compare_exchange_weak(seen, begin + bad)) {
      }
    });
  });
  if (first.load() != kNone) {
    throw InputError(ExitCode::bad_model,
                     "non-finite value at element " + std::to_string(first.load()));
  }
}

void widen(const std::byte* values, DType dtype, std::int64_t count, float* to) {
  with_stored(dtype, [&]<class T>(T) {
    parallel_for(blocks_of(count, kChunk), [&](std::int64_t chunk, int) {
      const std::int64_t end = std::min(count, (chunk + 1) * kChunk);
      for (std::int64_t i = chunk * kChunk; i < end; ++i) to[i] = to_float(stored_at<T>(values, i));
    });
  });
}

// Of all parts, or f32 where they differ.
DType common_dtype(std::span<const StoredWeight> parts) {
  const DType first = parts[0].dtype;
  const bool common = std::all_of(parts.begin(), parts.end(),
                                  [&](const StoredWeight& part) { return part.dtype == first; });
  return common ? first : DType::f32;
}

// The values of all parts together, in their common dtype: where they lie, if there is one part;
// else in memory that is kept for the next weight, because fresh memory costs more than the copy.
const std::byte* values_of(std::span<const StoredWeight> parts, Scratch& scratch) {
  for (const StoredWeight& part : parts) refuse_non_finite(part);
  if (parts.size() == 1) return parts[0].bytes.data();
  const DType dtype = common_dtype(parts);
  const auto bytes_of = [&](const StoredWeight& part) {
    return static_cast<std::size_t>(part.shape.elements()) * size_of(dtype);
  };
  std::size_t bytes = 0;
  for (const StoredWeight& part : parts) bytes += bytes_of(part);
  std::byte* const values = scratch.reserve(bytes);
  std::byte* to = values;
  for (const StoredWeight& part : parts) {
    if (part.dtype == dtype) {
      std::memcpy(to, part.bytes.data(), bytes_of(part));
    } else {
      widen(part.bytes.data(), part.dtype, part.shape.elements(), reinterpret_cast<float*>(to));
    }
    to += bytes_of(part);
  }
  return values;
}

std::shared_ptr<const PreparedWeight> prepare_embedding(const WeightInput& input,
                                                        const PanelKernels& kernels,
                                                        std::int64_t count, DType use) {
  auto weight = std::make_shared<PlainWeight>();
  weight->held = held_as(input.dtype, use);
  const WeightMemory::Block block =
      input.allocate(static_cast<std::size_t>(count * held_bytes(weight->held, use)));
  weight->data = block.data;
  if (!block.fill) return weight;
  const std::byte* values = input.values();
  with_types(input.dtype, use, [&]<class Stored, class T>(Stored, T) {
    auto* to = static_cast<T*>(weight->data.get());
    parallel_for(blocks_of(count, kChunk), [&](std::int64_t chunk, int) {
      constexpr std::int64_t kPiece = 1024;
      const std::int64_t end = std::min(count, (chunk + 1) * kChunk);
      for (std::int64_t i = chunk * kChunk; i < end; i += kPiece) {
        const std::int64_t here = std::min(kPiece, end - i);
        Stored piece[kPiece];
        std::memcpy(piece, values + i * static_cast<std::int64_t>(sizeof(Stored)),
                    static_cast<std::size_t>(here) * sizeof(Stored));
        hold(kernels, piece, here, to + i);
      }
    });
  });
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
                          common_dtype(parts), [&] { return values_of(parts, loading_scratch_); }};
  const PanelKernels& panels = kernels(use.dtype).panels;
  if (use.role == WeightRole::embedding) {
    return {shape, use, prepare_embedding(input, panels, shape.elements(), use.dtype)};
  }
  const Convolution usual = usual_convolution(shape, use);
  if (use.role == WeightRole::linear) return {shape, use, prepare_panels(input, panels, usual)};
  if (has_few_outputs(usual)) return {shape, use, prepare_few_outputs(input, panels, usual)};
  if (!fills_panels(usual)) return {shape, use, onednn_.prepare(input, usual)};
  auto weight = std::make_shared<KernelWeight>();
  weight->usual = usual;
  if (use.height > 0 && use.width > 0 && by_winograd(usual)) {
    weight->winograd = prepare_winograd(input, panels, usual);
  } else {
    weight->panels = prepare_panels(input, panels, usual);
  }
  return {shape, use, weight};
}

std::vector<float> widened(const WeightInput& input, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  widen(input.values(), input.dtype, count, values.data());
  return values;
}

void CpuBackend::place_weights(std::shared_ptr<WeightMemory> memory) {
  weight_memory_ = std::move(memory);
}

}  // namespace diffuse::cpu
