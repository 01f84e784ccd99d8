#include "core/pipeline/partition.hpp"

#include <algorithm>
#include <string>

#include "core/base/error.hpp"

namespace diffuse {

Share share_of(std::size_t count, int parts, int part, bool apply_padding) {
  if (parts < 1 || part < 0 || part >= parts) {
    throw ConfigError("there is no part " + std::to_string(part) + " of " + std::to_string(parts) +
                      ": parts count from 0, and there is at least one");
  }
  const auto number = static_cast<std::size_t>(part);
  const std::size_t quotient = count / static_cast<std::size_t>(parts);
  const std::size_t remainder = count % static_cast<std::size_t>(parts);
  Share share;
  share.begin = number * quotient + std::min(number, remainder);
  share.length = quotient + (number < remainder ? 1 : 0);
  if (apply_padding) share.pads = quotient + (remainder != 0 ? 1 : 0) - share.length;
  return share;
}

std::vector<RenderJob> jobs_of_part(std::span<const RenderJob> jobs, int parts, int part,
                                    bool apply_padding) {
  const Share share = share_of(jobs.size(), parts, part, apply_padding);
  const auto slice = jobs.subspan(share.begin, share.length);
  std::vector<RenderJob> result(slice.begin(), slice.end());
  result.reserve(share.length + share.pads);
  for (std::size_t k = 0; k < share.pads; ++k) {
    result.push_back(jobs.back());
    result.back().padding = true;
  }
  return result;
}

}  // namespace diffuse
