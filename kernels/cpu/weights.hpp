#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <type_traits>
#include <vector>

#include "core/tensor/tensor.hpp"
#include "core/tensor/weight_memory.hpp"
#include "kernels/cpu/halves.hpp"
#include "kernels/cpu/kernels.hpp"

namespace diffuse::cpu {

/// What those who lay a weight out get from the backend.
struct WeightInput {
  /// The weight's memory; to be called once.
  std::function<WeightMemory::Block(std::size_t bytes)> allocate;
  DType dtype;  ///< of its values: f32, f16 or bf16
  /// Its values in the checkpoint's order, at any address; read only where the block is to be
  /// filled.
  std::function<const std::byte*()> values;
};

/// A weight's values in f32.
std::vector<float> widened(const WeightInput& input, std::int64_t count);

/// A weight as a plain array: embeddings.
struct PlainWeight final : PreparedWeight {
  std::shared_ptr<void> data;
  Held held = Held::as_multiplied;  ///< in the dtype of its use, or narrower
};

/// How weights that a file has in `stored` are held for products in `use`.
constexpr Held held_as(DType stored, DType use) {
  if (use != DType::f32) return Held::as_multiplied;
  if (stored == DType::f16) return Held::f16;
  return stored == DType::bf16 ? Held::bf16 : Held::as_multiplied;
}
/// The dtype of weights that are held so.
constexpr DType held_dtype(Held held, DType use) {
  if (held == Held::as_multiplied) return use;
  return held == Held::f16 ? DType::f16 : DType::bf16;
}
/// Bytes of each.
constexpr std::int64_t held_bytes(Held held, DType use) {
  return static_cast<std::int64_t>(size_of(held_dtype(held, use)));
}

/// fn(value) of the type that a file has in `stored`.
template <class Fn>
void with_stored(DType stored, Fn fn) {
  if (stored == DType::f16) return fn(F16{});
  if (stored == DType::bf16) return fn(Bf16{});
  fn(float{});
}

/// fn(stored, held): also one of the type that such values are held in for products in `use`.
template <class Fn>
void with_types(DType stored, DType use, Fn fn) {
  with_stored(stored, [&](auto value) {
    if (use == DType::bf16) return fn(value, Bf16{});
    fn(value, value);
  });
}

template <class T>
T stored_at(const std::byte* values, std::int64_t index) {
  T value;
  std::memcpy(&value, values + index * static_cast<std::int64_t>(sizeof value), sizeof value);
  return value;
}

/// Stored values, aligned, as they are held: the same, or rounded to bf16.
template <class Stored, class T>
void hold(const PanelKernels& kernels, const Stored* values, std::int64_t count, T* to) {
  if constexpr (std::is_same_v<Stored, T>) {
    std::memcpy(to, values, static_cast<std::size_t>(count) * sizeof(T));
  } else {
    static_assert(std::is_same_v<T, Bf16>);
    const auto round = std::is_same_v<Stored, F16> ? kernels.round_f16 : kernels.round_f32;
    round(values, count, to);
  }
}

}  // namespace diffuse::cpu
