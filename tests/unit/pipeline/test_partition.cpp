#include <catch2/catch.hpp>
#include <vector>

#include "core/base/error.hpp"
#include "core/pipeline/partition.hpp"

using diffuse::Share;
using diffuse::share_of;

namespace {

using Lists = std::vector<std::vector<int>>;

/// Item numbers of every part.
Lists split(std::size_t count, int parts, bool apply_padding) {
  Lists lists;
  for (int part = 0; part < parts; ++part) {
    const Share share = share_of(count, parts, part, apply_padding);
    std::vector<int> items;
    for (std::size_t i = 0; i < share.length; ++i)
      items.push_back(static_cast<int>(share.begin + i));
    items.insert(items.end(), share.pads, static_cast<int>(count) - 1);
    lists.push_back(items);
  }
  return lists;
}

struct Case {
  std::size_t count;
  Lists plain;
  Lists padded;
};

/// What accelerate's split_between_processes (1.14 and later) was seen to give for these sizes.
const std::vector<Case>& seen_in_accelerate() {
  static const std::vector<Case> kCases = {
      {1, {{0}}, {{0}}},
      {1, {{0}, {}, {}, {}}, {{0}, {0}, {0}, {0}}},
      {2, {{0}, {1}, {}, {}}, {{0}, {1}, {1}, {1}}},
      {3, {{0, 1}, {2}}, {{0, 1}, {2, 2}}},
      {3, {{0}, {1}, {2}, {}}, {{0}, {1}, {2}, {2}}},
      {4, {{0, 1}, {2}, {3}}, {{0, 1}, {2, 3}, {3, 3}}},
      {5, {{0, 1, 2}, {3, 4}}, {{0, 1, 2}, {3, 4, 4}}},
      {5, {{0, 1}, {2}, {3}, {4}}, {{0, 1}, {2, 4}, {3, 4}, {4, 4}}},
      {7, {{0, 1, 2}, {3, 4}, {5, 6}}, {{0, 1, 2}, {3, 4, 6}, {5, 6, 6}}},
      {7, {{0, 1}, {2, 3}, {4, 5}, {6}}, {{0, 1}, {2, 3}, {4, 5}, {6, 6}}},
      {8, {{0, 1}, {2, 3}, {4, 5}, {6, 7}}, {{0, 1}, {2, 3}, {4, 5}, {6, 7}}},
      {10, {{0, 1, 2}, {3, 4, 5}, {6, 7}, {8, 9}}, {{0, 1, 2}, {3, 4, 5}, {6, 7, 9}, {8, 9, 9}}},
      {17,
       {{0, 1, 2, 3, 4, 5, 6, 7, 8}, {9, 10, 11, 12, 13, 14, 15, 16}},
       {{0, 1, 2, 3, 4, 5, 6, 7, 8}, {9, 10, 11, 12, 13, 14, 15, 16, 16}}},
      {17,
       {{0, 1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}, {13, 14, 15, 16}},
       {{0, 1, 2, 3, 4}, {5, 6, 7, 8, 16}, {9, 10, 11, 12, 16}, {13, 14, 15, 16, 16}}},
      {17,
       {{0, 1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}, {11, 12}, {13, 14}, {15, 16}},
       {{0, 1, 2},
        {3, 4, 16},
        {5, 6, 16},
        {7, 8, 16},
        {9, 10, 16},
        {11, 12, 16},
        {13, 14, 16},
        {15, 16, 16}}}};
  return kCases;
}

}  // namespace

TEST_CASE("shares are those that accelerate gives") {
  for (const Case& example : seen_in_accelerate()) {
    const int parts = static_cast<int>(example.plain.size());
    CAPTURE(example.count, parts);
    CHECK(split(example.count, parts, false) == example.plain);
    CHECK(split(example.count, parts, true) == example.padded);
  }
}

TEST_CASE("an empty list gives empty shares, padded or not") {
  CHECK(split(0, 2, false) == Lists{{}, {}});
  CHECK(split(0, 2, true) == Lists{{}, {}});
}

TEST_CASE("shares in rank order are the list, and pads come out by their flag") {
  for (int count = 0; count < 80; ++count) {
    std::vector<diffuse::RenderJob> jobs(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) jobs[static_cast<std::size_t>(i)].index = i;
    for (int parts = 1; parts <= 12; ++parts) {
      CAPTURE(count, parts);
      const std::size_t longest = static_cast<std::size_t>((count + parts - 1) / parts);
      for (const bool padding : {false, true}) {
        std::vector<diffuse::RenderJob> gathered;
        for (int part = 0; part < parts; ++part) {
          const auto share = diffuse::jobs_of_part(jobs, parts, part, padding);
          CHECK((padding ? share.size() == longest
                         : share.size() == longest || share.size() + 1 == longest));
          for (const auto& job : share) {
            if (!job.padding) gathered.push_back(job);
            if (job.padding) CHECK(job.index == count - 1);
          }
        }
        CHECK(gathered == jobs);
      }
    }
  }
}

TEST_CASE("a part that does not exist is refused") {
  for (const auto& [parts, part] : {std::pair{0, 0}, {-1, 0}, {2, 2}, {2, -1}}) {
    CHECK_THROWS_AS(share_of(4, parts, part, false), diffuse::ConfigError);
  }
}
