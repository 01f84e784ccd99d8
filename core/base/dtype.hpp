#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace diffuse {

/// Element types of tensors and of stored weights that the program computes with.
enum class DType : std::uint8_t { f32, f16, bf16, i32, u8 };

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

/// "f32", "f16", "bf16", "i32", "u8".
constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
    case DType::u8:
      return "u8";
  }
  return "?";
}

}  // namespace diffuse
