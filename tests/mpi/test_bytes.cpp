#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "tests/mpi/mpi_main.hpp"

using diffuse::MpiError;
using diffuse::mpi::Communicator;
using diffuse::test::world;

namespace {

/// Bytes that tell their owner and their place, NUL bytes included; the same on every rank.
std::string bytes_of(int owner, std::size_t size) {
  std::mt19937 draw(static_cast<unsigned>(owner) + 1);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(draw());
  return bytes;
}

/// Sizes per rank: equal, unequal, empty at the start, the end and everywhere, one rank with nearly
/// all.
std::vector<std::vector<std::size_t>> size_lists(int ranks) {
  const auto count = static_cast<std::size_t>(ranks);
  std::vector<std::vector<std::size_t>> lists(6, std::vector<std::size_t>(count, 0));
  for (std::size_t r = 0; r < count; ++r) {
    lists[1][r] = 20;
    lists[2][r] = 5 * r;
    lists[3][r] = 1 + 21 * (count - r) % 40;
    lists[4][r] = r == count / 2 ? 200 : r % 2;
    lists[5][r] = r + 1 < count ? 8 : 0;
  }
  return lists;
}

/// From one byte a piece to everything in one.
constexpr std::size_t kPieces[] = {1, 7, 50, std::size_t{1} << 20U};

}  // namespace

TEST_CASE("scatter gives each rank its bytes, from any root, in pieces of any size") {
  for (const std::size_t piece : kPieces) {
    Communicator comm = world();
    comm.set_piece_bytes(piece);
    for (const auto& sizes : size_lists(comm.size())) {
      for (const int root : {0, comm.size() - 1}) {
        std::vector<std::string> parts;
        for (int to = 0; to < comm.size() && comm.rank() == root; ++to) {
          parts.push_back(bytes_of(to, sizes[static_cast<std::size_t>(to)]));
        }
        const std::string got = comm.scatter_bytes(root, parts);
        CHECK(got == bytes_of(comm.rank(), sizes[static_cast<std::size_t>(comm.rank())]));
      }
    }
  }
}

TEST_CASE("gather brings each rank's bytes to any root, in pieces of any size") {
  for (const std::size_t piece : kPieces) {
    Communicator comm = world();
    comm.set_piece_bytes(piece);
    for (const auto& sizes : size_lists(comm.size())) {
      for (const int root : {0, comm.size() - 1}) {
        const std::string mine =
            bytes_of(comm.rank(), sizes[static_cast<std::size_t>(comm.rank())]);
        const auto got = comm.gather_bytes(root, mine);
        REQUIRE(got.size() == (comm.rank() == root ? static_cast<std::size_t>(comm.size()) : 0));
        for (std::size_t from = 0; from < got.size(); ++from) {
          CHECK(got[from] == bytes_of(static_cast<int>(from), sizes[from]));
        }
      }
    }
  }
}

TEST_CASE("broadcast and all_gather bring the bytes everywhere") {
  for (const std::size_t piece : kPieces) {
    Communicator comm = world();
    comm.set_piece_bytes(piece);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{99}}) {
      const int root = comm.size() - 1;
      const std::string mine = comm.rank() == root ? bytes_of(7, size) : std::string("unread");
      CHECK(comm.broadcast_bytes(root, mine) == bytes_of(7, size));
    }
    const auto all =
        comm.all_gather_bytes(bytes_of(comm.rank(), 10 * static_cast<std::size_t>(comm.rank())));
    REQUIRE(all.size() == static_cast<std::size_t>(comm.size()));
    for (int from = 0; from < comm.size(); ++from) {
      CHECK(all[static_cast<std::size_t>(from)] ==
            bytes_of(from, 10 * static_cast<std::size_t>(from)));
    }
  }
}

TEST_CASE("megabytes in default pieces come through") {
  const Communicator& comm = world();
  const std::size_t size = 3'000'001;
  std::vector<std::string> parts;
  for (int to = 0; to < comm.size(); ++to) parts.push_back(bytes_of(to, size));
  CHECK((comm.scatter_bytes(0, parts) == bytes_of(comm.rank(), size)));
  CHECK((comm.gather_bytes(0, bytes_of(comm.rank(), size)) == parts) == comm.is_root());
}

TEST_CASE("a scatter without a part for each rank is refused on all of them") {
  const Communicator& comm = world();
  const std::vector<std::string> too_many(static_cast<std::size_t>(comm.size()) + 1);
  CHECK_THROWS_AS(comm.scatter_bytes(0, too_many), MpiError);
  CHECK_THROWS_AS(comm.scatter_bytes(0, {}), MpiError);
  CHECK(comm.all_of(true));  // and the ranks are still in step
}

TEST_CASE("piece sizes that MPI cannot count are refused") {
  Communicator comm = world();
  CHECK_THROWS_AS(comm.set_piece_bytes(0), MpiError);
  CHECK_THROWS_AS(comm.set_piece_bytes(std::size_t{1} << 31U), MpiError);
  comm.set_piece_bytes(std::size_t{64} << 20U);
}

TEST_CASE("on one machine the node is the world") {
  const Communicator& comm = world();
  CHECK(comm.local_rank() == comm.rank());
  CHECK(comm.local_size() == comm.size());
  CHECK(comm.node().size() == comm.size());
  CHECK(comm.node().node().local_rank() == comm.rank());
  CHECK_FALSE(comm.host().empty());
}
