#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "apps/diffuse_batch/exchange.hpp"
#include "apps/diffuse_batch/stop.hpp"
#include "tests/mpi/mpi_main.hpp"

using namespace diffuse;
using diffuse::test::world;

// A program of its own: a request holds for the rest of the process.
TEST_CASE("a request that one rank sees reaches all, while they are inside a long op") {
  const mpi::Communicator& comm = world();
  CHECK(stop_requested() == Stop::no);
  BatchQueue pool({}, 1);
  FetchedJobs source(std::vector<RenderJob>(2), 1);
  Exchange exchange({.comm = comm,
                     .report = [](const RenderResult&) {},
                     .tick = {},
                     .pool = comm.is_root() ? &pool : nullptr,
                     .fetched = &source});
  CHECK(source.next().size() == 1);
  if (comm.rank() == comm.size() - 1) request_stop(Stop::after_batch);
  // The rendering thread takes no part: it sits in an op until the request is here.
  while (stop_requested() == Stop::no) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(stop_requested() == Stop::after_batch);
  CHECK_NOTHROW(throw_if_stopped());
  CHECK(source.wanted() == 0);

  // A request only goes further, and what is ready is still there to be seen as left.
  if (comm.is_root()) request_stop(Stop::at_once);
  while (stop_requested() != Stop::at_once)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  request_stop(Stop::failure);
  CHECK(stop_requested() == Stop::at_once);
  CHECK_THROWS_AS(throw_if_stopped(), StoppedError);
  CHECK(source.next().size() == 1);
  CHECK(source.next().empty());
  exchange.finish();
}
