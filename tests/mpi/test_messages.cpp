#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/mpi/mpi_main.hpp"

using diffuse::mpi::Message;
using diffuse::test::world;

namespace {

constexpr int kProgress = 5;
constexpr int kOther = 6;

/// Message number `number` of a rank: most are short, some beyond what MPI sends without being
/// asked.
std::string text(int rank, int number) {
  return std::to_string(rank) + ":" + std::to_string(number) +
         std::string(number % 7 == 3 ? 100'000 : 3, '\0');
}

}  // namespace

TEST_CASE("every post arrives once, in the order of its rank") {
  const auto& comm = world();
  constexpr int kCount = 50;
  std::vector<Message> came;
  for (int number = 0; number < kCount; ++number) {
    comm.post(0, kProgress, text(comm.rank(), number));
    while (comm.is_root() && number % 10 == 0) {
      auto message = comm.poll(kProgress);
      if (!message) break;
      came.push_back(*message);
    }
  }
  for (Message& message : comm.finish_posts(kProgress)) came.push_back(std::move(message));

  REQUIRE(came.size() == static_cast<std::size_t>(comm.is_root() ? kCount * comm.size() : 0));
  std::vector<int> next(static_cast<std::size_t>(comm.size()), 0);
  for (const Message& message : came) {
    const int number = next[static_cast<std::size_t>(message.source)]++;
    CHECK((message.bytes == text(message.source, number)));
  }
}

TEST_CASE("finishing takes its own posts, and leaves the next round's alone") {
  const auto& comm = world();
  const int to = (comm.rank() + 1) % comm.size();
  CHECK(comm.finish_posts(kProgress).empty());
  comm.post(to, kOther, "unread until the end");
  for (int round = 0; round < 30; ++round) {
    comm.post(to, kProgress, std::to_string(round));
    const auto messages = comm.finish_posts(kProgress);
    REQUIRE(messages.size() == 1);
    CHECK(messages[0].bytes == std::to_string(round));
  }
  CHECK(comm.finish_posts(kOther).size() == 1);
}

TEST_CASE("tags keep messages apart") {
  const auto& comm = world();
  const int to = (comm.rank() + 1) % comm.size();
  comm.post(to, kOther, "other");
  comm.post(to, kProgress, "");
  std::vector<Message> progress;
  while (progress.empty()) {
    if (auto message = comm.poll(kProgress)) progress.push_back(*message);
  }
  CHECK(progress[0].bytes.empty());
  CHECK(progress[0].source == (comm.rank() + comm.size() - 1) % comm.size());
  const auto other = comm.finish_posts(kOther);
  REQUIRE(other.size() == 1);
  CHECK(other[0].bytes == "other");
  CHECK_FALSE(comm.poll(kProgress).has_value());
}
