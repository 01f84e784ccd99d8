#include "apps/diffuse_batch/shared_gpus.hpp"

#include <catch2/catch.hpp>
#include <vector>

using namespace diffuse;

TEST_CASE("GPUs that several ranks of a host drive are told, others are not") {
  using Ranks = std::vector<RankDevice>;
  const auto line = [](const Ranks& ranks) { return line_of_shared_gpus(ranks); };
  CHECK(line({}).empty());
  CHECK(line({{"n1", "GPU-1"}}).empty());
  // Each rank of a node has its own, whatever index it was shown as.
  CHECK(line({{"n1", "GPU-1"}, {"n1", "GPU-2"}, {"n2", "GPU-3"}}).empty());
  // The same id on two hosts is no sharing: virtual machines may give the same ones.
  CHECK(line({{"n1", "GPU-1"}, {"n2", "GPU-1"}}).empty());
  // Processors have none.
  CHECK(line({{"n1", ""}, {"n1", ""}}).empty());

  const std::string one = line({{"n1", "GPU-1"}, {"n1", "GPU-2"}, {"n1", "GPU-1"}});
  CHECK_THAT(one, Catch::Contains("1 GPU is shared") && Catch::Contains("GPU-1 of n1 by 2"));
  const std::string two =
      line({{"n1", "GPU-1"}, {"n1", "GPU-1"}, {"n2", "GPU-2"}, {"n2", "GPU-2"}, {"n2", "GPU-2"}});
  CHECK_THAT(two, Catch::Contains("2 GPUs are shared") && Catch::Contains("GPU-2 of n2 by 3"));
}
