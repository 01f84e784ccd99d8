// How well `--schedule dynamic` fills ranks of different speed, by the clock and so no test:
//   mpirun -np 3 mpi_schedule_time [BATCHES [MILLISECONDS [SLOWNESS]]]
// Batches take MILLISECONDS each (a sleep) on all ranks but the last, which is SLOWNESS times as
// slow. Prints the time beside the ideal BATCHES x MILLISECONDS / (ranks - 1 + 1 / SLOWNESS).
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "apps/diffuse_batch/exchange.hpp"
#include "mpi/session.hpp"

namespace {

using namespace diffuse;

double argument(int argc, char** argv, int at, double fallback) {
  return argc > at ? std::atof(argv[at]) : fallback;
}

int measure(int argc, char** argv) {
  const mpi::Session session;
  const mpi::Communicator& comm = session.world();
  const double batches = argument(argc, argv, 1, 200);
  const double each = argument(argc, argv, 2, 50) / 1000;
  const double slowness = argument(argc, argv, 3, 3);
  const double mine = comm.rank() == comm.size() - 1 ? each * slowness : each;

  BatchQueue pool(std::vector<RenderJob>(static_cast<std::size_t>(batches)), 1);
  std::vector<RenderJob> first;
  for (int rank = 0; rank < comm.size(); ++rank) {
    std::vector<RenderJob> begin = pool.take(1);
    if (rank == comm.rank()) first = std::move(begin);
  }
  FetchedJobs source(std::move(first), 1);
  comm.barrier();
  const auto start = std::chrono::steady_clock::now();
  Exchange exchange({.comm = comm,
                     .report = [](const RenderResult&) {},
                     .tick = {},
                     .pool = comm.is_root() ? &pool : nullptr,
                     .fetched = &source});
  int count = 0;
  while (!source.next().empty()) {
    std::this_thread::sleep_for(std::chrono::duration<double>(mine));
    ++count;
  }
  exchange.finish();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  const std::vector<std::string> counts = comm.gather_bytes(0, std::to_string(count));
  if (!comm.is_root()) return 0;
  const double ideal = batches * each / (comm.size() - 1 + 1 / slowness);
  std::printf("%.3f s, ideal %.3f s, ratio %.3f; batches of the ranks:", taken.count(), ideal,
              taken.count() / ideal);
  for (const std::string& rank : counts) std::printf(" %s", rank.c_str());
  std::printf("\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return measure(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
