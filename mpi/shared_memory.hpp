#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "mpi/communicator.hpp"

namespace diffuse::mpi {

/// Memory that all ranks of a node see: an MPI shared-memory window. It lives as long as an owner
/// on any rank; the system takes it back when the last process ends, however that ends.
class SharedMemory {
 public:
  /// Collective over `node` (Communicator::node()). At least `bytes` bytes, aligned to a page, zero
  /// at first. Null on every rank, with the reason in `*why`, where the node has no room for it:
  /// MPI itself would find out when a page is touched, by a signal. Throws MpiError.
  static std::shared_ptr<SharedMemory> allocate(const Communicator& node, std::size_t bytes,
                                                std::string* why);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  [[nodiscard]] void* data() const;
  [[nodiscard]] std::size_t bytes() const;

  /// Collective: what any rank has written is seen by all of them afterwards, and can no longer be
  /// written by any.
  void publish();

 private:
  struct State;
  explicit SharedMemory(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Bytes that can still be put into the shared memory of this node (Linux: /dev/shm); 0 if unknown.
std::size_t free_shared_bytes();

}  // namespace diffuse::mpi
