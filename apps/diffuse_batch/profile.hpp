#pragma once

#include <string>

#include "core/tensor/decorators.hpp"

namespace diffuse {

/// A table of where the time went, the slowest first: seconds, share, calls, GFLOP/s of matrix
/// products, GB/s of operands, op and shapes; where the device's `limits` are known, also the least
/// time that the products or the bytes of a row could take, in per cent of its seconds. `rows` at
/// most.
std::string profile_table(const TracingBackend& backend, const DeviceLimits& limits,
                          std::size_t rows);

}  // namespace diffuse
