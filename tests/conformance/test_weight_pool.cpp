#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cpu/memory.hpp"

namespace diffuse::test {
namespace {

struct Piece {
  explicit Piece(cpu::WeightPool& pool, std::size_t size_, unsigned char value_)
      : size(size_), value(value_), memory(pool.allocate(size)) {
    std::fill_n(bytes(), size, value);
  }
  [[nodiscard]] unsigned char* bytes() const { return static_cast<unsigned char*>(memory.get()); }
  [[nodiscard]] bool whole() const {
    return std::all_of(bytes(), bytes() + size, [&](unsigned char b) { return b == value; });
  }
  std::size_t size;
  unsigned char value;
  std::shared_ptr<void> memory;
};

}  // namespace

TEST_CASE("weights of a pool are aligned and outlive their neighbours and the pool") {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  auto pool = std::make_unique<cpu::WeightPool>();
  std::vector<Piece> kept, freed;
  kept.emplace_back(*pool, std::size_t{1}, static_cast<unsigned char>(100));
  // More than one piece of the pool's own memory, some that end in the middle of a huge page, some
  // too large for it.
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{100}, kMiB - 64, 3 * kMiB + 8, 15 * kMiB, 17 * kMiB}) {
    for (int i = 0; i < 3; ++i) {
      kept.emplace_back(*pool, size, static_cast<unsigned char>(1 + kept.size()));
      freed.emplace_back(*pool, size, static_cast<unsigned char>(101 + freed.size()));
    }
  }
  for (const Piece& piece : kept) CHECK(reinterpret_cast<std::uintptr_t>(piece.bytes()) % 64 == 0);
  CHECK(std::all_of(freed.begin(), freed.end(), [](const Piece& p) { return p.whole(); }));
  freed.clear();
  pool.reset();
  for (const Piece& piece : kept) CHECK(piece.whole());
}

TEST_CASE("a pool's memory goes back to the system with the weight, not with the last of them") {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  cpu::WeightPool pool;
  const Piece first(pool, 64, 1);
  Piece second(pool, 12 * kMiB, 2);
  const Piece third(pool, 64, 3);
  const unsigned char* middle = second.bytes() + 6 * kMiB;
  REQUIRE(*middle == 2);
  second.memory.reset();
  // Still reserved while the pool lives, and read as zeros.
  CHECK(*middle == 0);
  CHECK(first.whole());
  CHECK(third.whole());
}

}  // namespace diffuse::test
