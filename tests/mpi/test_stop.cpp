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
  for (const Stop stop : {Stop::after_batch, Stop::at_once}) {
    BatchQueue pool({}, 1);
    FetchedJobs source(std::vector<RenderJob>(2), 1);
    Exchange exchange({.comm = comm,
                       .report = [](const RenderResult&) {},
                       .tick = {},
                       .pool = comm.is_root() ? &pool : nullptr,
                       .fetched = &source});
    CHECK(source.next().size() == 1);
    const int sees = stop == Stop::at_once ? 0 : comm.size() - 1;
    if (comm.rank() == sees) request_stop(stop);
    // The rendering thread takes no part: it sits in an op until the request is here.
    while (stop_requested() != stop) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // What lies ready can be seen as left; nothing more is asked for.
    CHECK(source.wanted() == 0);
    CHECK(source.next().size() == 1);
    CHECK(source.next().empty());
    if (stop == Stop::after_batch) CHECK_NOTHROW(throw_if_stopped());
    exchange.finish();
  }
  // A request only goes further.
  request_stop(Stop::failure);
  CHECK(stop_requested() == Stop::at_once);
  CHECK_THROWS_AS(throw_if_stopped(), StoppedError);
}
