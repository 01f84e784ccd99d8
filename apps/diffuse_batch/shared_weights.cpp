#include "apps/diffuse_batch/shared_weights.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "apps/diffuse_batch/picture_maker.hpp"
#include "core/base/log.hpp"
#include "core/tensor/weight_memory.hpp"

namespace diffuse {
namespace {

// Bytes of the prepared weights; 0 for a model that cannot be loaded, which loading will explain.
std::size_t weight_bytes(const Preparation& prepared) {
  const auto counted = std::make_shared<CountedWeights>();
  prepared.backend->place_weights(counted);
  try {
    StableDiffusion::load_shapes(*prepared.folder, *prepared.backend,
                                 model_settings(prepared.settings));
  } catch (const Error&) {
    prepared.backend->place_weights(nullptr);
    return 0;
  }
  prepared.backend->place_weights(nullptr);
  return counted->bytes();
}

}  // namespace

std::shared_ptr<mpi::SharedMemory> share_weights(const mpi::Communicator& comm,
                                                 const Preparation& prepared, bool loads) {
  const mpi::Communicator node = comm.node();
  if (prepared.settings.device != "cpu" || node.size() < 2) return nullptr;

  // Which ranks take part, and whether they need the same.
  std::vector<std::size_t> needs;
  for (const std::string& bytes :
       node.all_gather_bytes(loads ? std::to_string(weight_bytes(prepared)) : "-")) {
    needs.push_back(bytes == "-" ? std::string::npos : std::stoull(bytes));
  }
  int parts = 0;
  int part = 0;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < needs.size(); ++i) {
    if (needs[i] == std::string::npos) continue;
    if (i < static_cast<std::size_t>(node.rank())) ++part;
    if (parts++ > 0 && needs[i] != bytes) return nullptr;
    bytes = needs[i];
  }
  if (parts < 2 || bytes == 0) return nullptr;

  std::string why;
  auto memory = mpi::SharedMemory::allocate(node, bytes, &why);
  if (memory == nullptr) {
    if (node.is_root()) {
      log()->warn(
          "the ranks of {} cannot share one copy of the weights ({}): each holds its own, which "
          "takes {} MiB more (in a container, give more with --shm-size)",
          node.host(), why, (static_cast<std::size_t>(parts - 1) * bytes) >> 20U);
    }
    return nullptr;
  }
  if (node.is_root()) {
    log()->info("{} ranks of {} share one copy of the weights, {} MiB", parts, node.host(),
                bytes >> 20U);
  }
  if (loads) {
    prepared.backend->place_weights(std::make_shared<SharedWeights>(
        std::shared_ptr<void>(memory, memory->data()), bytes, part, parts));
  }
  return memory;
}

}  // namespace diffuse
