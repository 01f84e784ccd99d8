#include "apps/diffuse_batch/shared_gpus.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "core/base/log.hpp"
#include "core/base/text.hpp"

namespace diffuse {

std::string line_of_shared_gpus(std::span<const RankDevice> ranks) {
  std::map<std::pair<std::string, std::string>, std::size_t> users;
  for (const RankDevice& rank : ranks) {
    if (!rank.id.empty()) ++users[{rank.host, rank.id}];
  }
  std::int64_t shared = 0;
  std::size_t most = 0;
  std::string example;
  for (const auto& [gpu, count] : users) {
    if (count < 2) continue;
    ++shared;
    if (count > most) example = gpu.second + " of " + gpu.first;
    most = std::max(most, count);
  }
  if (shared == 0) return {};
  return counted(shared, "GPU") + (shared == 1 ? " is" : " are") + " shared by ranks, " +
         printable(example) + " by " + std::to_string(most) +
         ": they wait for each other and each holds its own weights; start one rank a GPU";
}

void warn_of_shared_gpus(const mpi::Communicator& comm, const Backend& backend) {
  const std::vector<std::string> ids = comm.gather_bytes(0, backend.device_id());
  const std::vector<std::string> hosts = comm.gather_bytes(0, comm.host());
  std::vector<RankDevice> ranks;
  ranks.reserve(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) ranks.push_back({hosts[i], ids[i]});
  const std::string line = line_of_shared_gpus(ranks);
  if (!line.empty()) log()->warn("{}", line);
}

}  // namespace diffuse
