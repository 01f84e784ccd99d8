#include <algorithm>
#include <array>

#include "core/io/safetensors.hpp"

namespace diffuse {
namespace {

struct Entry {
  std::string_view name;
  std::size_t bits;
};

/// In the order of StoredDType.
constexpr std::array<Entry, 22> kEntries = {{
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
}};
static_assert(kEntries.size() == static_cast<std::size_t>(StoredDType::u64) + 1);

const Entry& entry(StoredDType dtype) { return kEntries.at(static_cast<std::size_t>(dtype)); }

}  // namespace

std::string_view name_of(StoredDType dtype) { return entry(dtype).name; }

std::size_t bits_of(StoredDType dtype) { return entry(dtype).bits; }

std::optional<StoredDType> stored_dtype(std::string_view name) {
  const auto* const found = std::find_if(kEntries.begin(), kEntries.end(),
                                         [name](const Entry& e) { return e.name == name; });
  if (found == kEntries.end()) return std::nullopt;
  return static_cast<StoredDType>(found - kEntries.begin());
}

std::optional<DType> compute_dtype(StoredDType dtype) {
  switch (dtype) {
    case StoredDType::f32:
      return DType::f32;
    case StoredDType::f16:
      return DType::f16;
    case StoredDType::bf16:
      return DType::bf16;
    default:
      return std::nullopt;
  }
}

}  // namespace diffuse
