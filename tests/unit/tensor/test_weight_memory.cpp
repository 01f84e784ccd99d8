#include <catch2/catch.hpp>
#include <cstdlib>
#include <vector>

#include "core/base/error.hpp"
#include "core/tensor/weight_memory.hpp"

namespace diffuse {

TEST_CASE("every shared block is filled by one process, at the same place in all of them") {
  const std::vector<std::size_t> sizes{100, 7, 640, 64, 1, 3000, 12, 500};
  CountedWeights counted;
  for (const std::size_t size : sizes) {
    const auto block = counted.next(size);
    CHECK(block.data == nullptr);
    CHECK_FALSE(block.fill);
  }
  CHECK(counted.bytes() % 64 == 0);
  const std::shared_ptr<void> memory(std::aligned_alloc(64, counted.bytes()), std::free);
  for (const int parts : {1, 2, 3, 20}) {
    INFO(parts << " processes");
    std::vector<int> filled(sizes.size(), 0);
    std::vector<void*> places(sizes.size(), nullptr);
    std::size_t most = 0;
    for (int part = 0; part < parts; ++part) {
      SharedWeights shared(memory, counted.bytes(), part, parts);
      std::size_t mine = 0;
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        const auto block = shared.next(sizes[i]);
        if (part == 0) places[i] = block.data.get();
        CHECK(block.data.get() == places[i]);
        filled[i] += block.fill ? 1 : 0;
        mine += block.fill ? sizes[i] : 0;
      }
      CHECK_THROWS_AS(shared.next(1), DeviceError);
      most = std::max(most, mine);
    }
    CHECK(filled == std::vector<int>(sizes.size(), 1));
    CHECK(most <= counted.bytes() / static_cast<std::size_t>(parts) + 3000);
    for (std::size_t i = 1; i < sizes.size(); ++i) {
      const auto gap = static_cast<std::byte*>(places[i]) - static_cast<std::byte*>(places[i - 1]);
      CHECK(gap >= static_cast<std::ptrdiff_t>(sizes[i - 1]));
      CHECK(reinterpret_cast<std::uintptr_t>(places[i]) % 64 == 0);
    }
  }
}

}  // namespace diffuse
