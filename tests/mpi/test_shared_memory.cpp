#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>

#include "mpi/shared_memory.hpp"
#include "tests/mpi/mpi_main.hpp"

using namespace diffuse;
using diffuse::test::world;

TEST_CASE("what each rank writes into shared memory, all ranks read") {
  const auto node = world().node();
  constexpr std::size_t kEach = 5000;
  const std::size_t bytes = kEach * static_cast<std::size_t>(node.size());
  std::string why;
  const auto memory = mpi::SharedMemory::allocate(node, bytes, &why);
  REQUIRE(memory != nullptr);
  CHECK(why.empty());
  CHECK(memory->bytes() >= bytes);
  auto* data = static_cast<std::uint8_t*>(memory->data());
  CHECK(reinterpret_cast<std::uintptr_t>(data) % 4096 == 0);
  std::memset(data + kEach * static_cast<std::size_t>(node.rank()), node.rank() + 1, kEach);
  memory->publish();
  bool right = true;
  for (std::size_t i = 0; i < bytes; ++i) right = right && data[i] == i / kEach + 1;
  CHECK(right);
}

TEST_CASE("several shared memories at once, freed in any order") {
  const auto node = world().node();
  std::string why;
  auto first = mpi::SharedMemory::allocate(node, 1, &why);
  auto second = mpi::SharedMemory::allocate(node, 100'000, &why);
  REQUIRE(first != nullptr);
  REQUIRE(second != nullptr);
  if (node.is_root()) std::memset(second->data(), 7, 100'000);
  second->publish();
  first.reset();
  CHECK(static_cast<const std::uint8_t*>(second->data())[99'999] == 7);
}

TEST_CASE("memory that nobody may write to any more can be written to once it is given back") {
  const auto node = world().node();
  std::string why;
  for (int round = 0; round < 3; ++round) {
    const auto memory = mpi::SharedMemory::allocate(node, 5000, &why);
    REQUIRE(memory != nullptr);
    auto* data = static_cast<std::uint8_t*>(memory->data());
    bool zero = true;
    for (std::size_t i = 0; i < 5000; ++i) zero = zero && data[i] == 0;
    CHECK(zero);
    node.barrier();
    if (node.is_root()) std::memset(data, 0xFF, 5000);
    memory->publish();
  }
}

TEST_CASE("more than the node has is refused on every rank, with the reason") {
  std::string why;
  const std::size_t too_much = mpi::free_shared_bytes() + (std::size_t{1} << 30);
  CHECK(mpi::SharedMemory::allocate(world().node(), too_much, &why) == nullptr);
  CHECK(why.find("/dev/shm has ") == 0);
}
