#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/base/dtype.hpp"

namespace diffuse {

/// How the output of a kernel differs from that of a trusted one on the same operands; empty where
/// rounding explains it: no value further away than two units in the last place of the largest (two
/// of its 1024ths in f16, of its 128ths in bf16), none that is not finite. f16 and bf16 only.
std::string disagreement(std::span<const std::byte> output, std::span<const std::byte> trusted,
                         DType dtype);

}  // namespace diffuse
