// Reading the lines of a manifest, without files. A line that ends in a byte 0x1D instead of a
// check sum gets the right one.
#include <algorithm>

#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/manifest_lines.hpp"

using namespace diffuse::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string lines = with_sums({reinterpret_cast<const char*>(data), size});
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', at), lines.size());
    check_line(std::string_view(lines).substr(at, end - at));
    at = end + 1;
  }
  return 0;
}
