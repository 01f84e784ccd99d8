#pragma once

#include <string>

#include "core/tensor/decorators.hpp"

namespace diffuse {

/// A table of where the time went, the slowest first: seconds, share, calls, GFLOP/s of matrix
/// products, GB/s of operands, op and shapes. `rows` at most.
std::string profile_table(const TracingBackend& backend, std::size_t rows);

}  // namespace diffuse
