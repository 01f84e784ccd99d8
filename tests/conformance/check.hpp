#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/conformance/device.hpp"

namespace diffuse::test {

/// One case of one op, ready to run on any device.
struct Check {
  std::string op;
  std::string what;
  std::int64_t entries = 1;  ///< pictures in the batch
  /// Output for entries [begin, end) of the batch, on new inputs.
  std::function<Tensor(Device&, Slice)> run;
  /// The definition, for the whole batch.
  std::function<Array()> want;
};

// All cases of some ops, with inputs rounded to `dtype`.
std::vector<Check> layer_checks(DType dtype);
std::vector<Check> norm_checks(DType dtype);
std::vector<Check> attention_checks(DType dtype);
std::vector<Check> movement_checks(DType dtype);
std::vector<Check> scheduler_checks(DType dtype);

/// Every check there is.
std::vector<Check> all_checks(DType dtype);

}  // namespace diffuse::test
