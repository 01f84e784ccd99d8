#pragma once

#include <cstdint>
#include <vector>

namespace diffuse {

/// Pixels of a picture, 8 bit, rows from the top: [height, width, 3].
struct RgbPicture {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;
};

}  // namespace diffuse
