#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>
#include <vector>

#include "apps/diffuse_batch/exchange.hpp"
#include "apps/diffuse_batch/stop.hpp"
#include "tests/mpi/mpi_main.hpp"

using namespace diffuse;
using diffuse::test::world;

namespace {

std::vector<RenderJob> jobs(int count) {
  std::vector<RenderJob> all(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) all[static_cast<std::size_t>(i)].index = i;
  return all;
}

std::vector<std::int64_t> sorted(std::vector<RenderResult> results) {
  std::vector<std::int64_t> indices;
  for (const RenderResult& result : results) indices.push_back(result.index);
  std::sort(indices.begin(), indices.end());
  return indices;
}

std::vector<std::int64_t> up_to(int count) {
  std::vector<std::int64_t> all;
  for (int i = 0; i < count; ++i) all.push_back(i);
  return all;
}

/// What root was told of a run.
struct Told {
  std::vector<RenderResult> results;
  int ticks = 0;
};

/// Every rank takes batches of `pool` until there are no more; `render` is called for each batch.
/// Returns what root was told; `left`, if given, whether this rank left jobs behind.
template <class Render>
Told run(int count, int batch_size, const Render& render, bool* left = nullptr) {
  const mpi::Communicator& comm = world();
  Told told;
  // As distribute() does it: one batch each to begin with, from the head of the list.
  BatchQueue pool(jobs(count), batch_size);
  std::vector<RenderJob> first;
  for (int rank = 0; rank < comm.size(); ++rank) {
    std::vector<RenderJob> begin = pool.take(1);
    if (rank == comm.rank()) first = std::move(begin);
  }
  FetchedJobs source(std::move(first), batch_size);
  Exchange exchange({.comm = comm,
                     .report = [&](const RenderResult& r) { told.results.push_back(r); },
                     .tick = [&](int, int) { ++told.ticks; },
                     .pool = comm.is_root() ? &pool : nullptr,
                     .fetched = &source});
  for (std::vector<RenderJob> batch = source.next(); !batch.empty(); batch = source.next()) {
    if (!render(batch)) break;
    for (const RenderJob& job : batch) {
      RenderResult result;
      result.index = job.index;
      result.rank = comm.rank();
      exchange.tell(result);
    }
  }
  const bool mine_left = exchange.finish();
  if (left != nullptr) *left = mine_left;
  return told;
}

void nap(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

}  // namespace

TEST_CASE("every job is fetched once, whatever the batches, and root is told of each") {
  for (const int count : {0, 1, 7, 100}) {
    for (const int batch_size : {1, 3}) {
      const Told told = run(count, batch_size, [](const auto&) { return true; });
      if (!world().is_root()) continue;
      CHECK(sorted(told.results) == up_to(count));
      CHECK(told.ticks > 0);
    }
  }
}

TEST_CASE("who is slow is given less") {
  if (world().size() == 1) return;
  const bool slow = world().rank() == world().size() - 1;
  const Told told = run(20 * world().size(), 1, [slow](const auto&) {
    nap(slow ? 200 : 5);
    return true;
  });
  if (!world().is_root()) return;
  CHECK(sorted(told.results) == up_to(20 * world().size()));
  const auto of_slow = std::count_if(told.results.begin(), told.results.end(),
                                     [](const auto& r) { return r.rank == world().size() - 1; });
  // Its first, and what it had fetched while it was at that; in equal shares it would have 20.
  CHECK(of_slow < 10);
  CHECK(of_slow >= 1);
}

TEST_CASE("jobs that nobody begins are known as left") {
  // Everybody gives up at its first batch.
  bool left = false;
  const Told told = run(
      50, 1, [](const auto&) { return false; }, &left);
  CHECK(told.results.empty());
  CHECK(world().all_of(left || !world().is_root()));
}

TEST_CASE("results of a rank without jobs to fetch arrive, many and at once") {
  const mpi::Communicator& comm = world();
  constexpr int kEach = 1000;
  std::vector<RenderResult> told;
  Exchange exchange(
      {.comm = comm, .report = [&](const RenderResult& r) { told.push_back(r); }, .tick = {}});
  for (int i = 0; i < kEach; ++i) {
    RenderResult result;
    result.index = comm.rank() * kEach + i;
    exchange.tell(result);
  }
  CHECK_FALSE(exchange.finish());
  if (comm.is_root()) CHECK(sorted(told) == up_to(kEach * comm.size()));
}

TEST_CASE("the next chunk is asked for when the last batch at hand is begun, once") {
  FetchedJobs source(jobs(1), 1);
  CHECK(source.wanted() == 0);
  CHECK(source.next().size() == 1);
  CHECK(source.wanted() == 1);
  CHECK(source.wanted() == 0);
  source.arrived(jobs(1));
  CHECK(source.wanted() == 0);  // it lies ready
  nap(60);
  CHECK(source.next().size() == 1);
  CHECK(source.wanted() == 1);
  source.arrived({});
  CHECK(source.wanted() == 0);
  CHECK(source.next().empty());

  // Quick batches: as many as fill the way to root and back.
  FetchedJobs quick(jobs(1), 1);
  quick.next();
  std::thread answer([&] {
    while (quick.wanted() == 0) nap(1);
    quick.arrived(jobs(2));
  });
  CHECK(quick.next().size() == 1);
  answer.join();
  CHECK(quick.wanted() > 1);

  FetchedJobs none({}, 4);
  CHECK(none.wanted() == 0);
  CHECK(none.next().empty());
}
