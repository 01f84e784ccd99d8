#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// What one rank gets of `count` items: [begin, begin + length), then `pads` copies of the last
/// item of all.
struct Share {
  std::size_t begin = 0;
  std::size_t length = 0;
  std::size_t pads = 0;

  bool operator==(const Share&) const = default;
};

/// The share of part r of P, with q = count div P and e = count mod P:
///   begin = r q + min(r, e), length = q + (r < e ? 1 : 0).
/// Slices are contiguous, differ by at most one, and together are the list.
/// With apply_padding each part is filled up to ceil(count / P); nothing can pad an empty list.
/// The rule is accelerate's `split_between_processes` since 1.14.
/// Throws ConfigError unless 0 <= part < parts.
Share share_of(std::size_t count, int parts, int part, bool apply_padding);

/// The jobs of one part; the padding ones are flagged, because after a gather they sit in the
/// middle and cannot be told by their position.
std::vector<RenderJob> jobs_of_part(std::span<const RenderJob> jobs, int parts, int part,
                                    bool apply_padding);

}  // namespace diffuse
