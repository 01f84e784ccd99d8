#pragma once

#include <string>
#include <vector>

#include "tests/conformance/check.hpp"
#include "tests/conformance/tolerances.hpp"

namespace diffuse::test {

/// Every case of every op for a CUDA device. f16 lacks the one whose NaN and infinity the cases'
/// host code cannot write as f16.
std::vector<Check> cuda_checks(DType dtype);

/// The table of tests/conformance, with rows for f16. `libraries`: products come from cuDNN and
/// cuBLASLt, which hand them over rounded to the dtype before an activation or a residual follows.
Tolerance cuda_tolerance(const std::string& op, DType dtype, bool libraries);

/// Runs one case and compares with its definition (Catch2 CHECK).
void check_values(Device& device, const Check& check, bool libraries);

/// A batch's bytes against those of its entries one by one (Catch2 CHECK).
void check_neighbours(Device& device, const Check& check);

}  // namespace diffuse::test
