// Prints "threads CPUs" of each rank: what it would compute with, and the list of CPUs where the
// kernel lets it run.

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

#include "core/base/threads.hpp"
#include "mpi/session.hpp"

int main(int argc, char** argv) {
  const int requested = argc > 1 ? std::atoi(argv[1]) : 0;
  diffuse::restart_with_threads(requested, argv);
  const diffuse::mpi::Session session;
  const auto& world = session.world();
  const auto plan = diffuse::prepare_threads(requested, world.local_rank(), world.local_size());

  std::ifstream status("/proc/self/status");
  const std::string key = "Cpus_allowed_list:\t";
  std::string cpus;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) cpus = line.substr(key.size());
  }
  // Not getenv(), which shows what was set later.
  std::ifstream at_start("/proc/self/environ");
  const std::string wanted = "OMP_WAIT_POLICY=";
  std::string policy = "-";
  for (std::string entry; std::getline(at_start, entry, '\0');) {
    if (entry.starts_with(wanted)) policy = entry.substr(wanted.size());
  }
  const std::string mine = std::to_string(plan.threads) + ' ' + cpus + ' ' + policy;
  for (const std::string& text : world.gather_bytes(0, mine)) std::cout << text << '\n';
  return 0;
}
