#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.hpp"
#include "mpi/agreement.hpp"

namespace diffuse::mpi {

/// A message that came by post().
struct Message {
  int source = 0;
  std::string bytes;
};

/// A group of ranks and what they can say to each other. Copies share the group. Bytes travel in
/// std::string.
///
/// Functions marked *collective* are called by all ranks of the group, in the same order. All
/// waiting is test and sleep (wait.hpp), so that a rank without work leaves its core to the others.
/// One thread at a time; Session asks MPI for no more. What MPI reports as an error is thrown as
/// MpiError: after that the ranks are out of step, and the process should end without MPI_Finalize
/// (see Session).
class Communicator {
 public:
  struct State;
  explicit Communicator(std::shared_ptr<State> state);  ///< made by Session and node()

  [[nodiscard]] int rank() const;
  [[nodiscard]] int size() const;
  [[nodiscard]] bool is_root() const { return rank() == 0; }
  [[nodiscard]] int local_rank() const;  ///< among the ranks of this node
  [[nodiscard]] int local_size() const;
  [[nodiscard]] const std::string& host() const;

  /// The ranks of this group that share this node's memory.
  [[nodiscard]] Communicator node() const;

  void barrier() const;                        ///< collective
  [[nodiscard]] bool all_of(bool mine) const;  ///< collective: true if true on every rank

  /// Collective: what `root` gives, on every rank; the other ranks' `bytes` are not read.
  [[nodiscard]] std::string broadcast_bytes(int root, std::string bytes) const;

  /// Collective: rank r gets `per_rank[r]` of `root`. Elsewhere `per_rank` is not read.
  /// Throws MpiError on every rank if `per_rank` has not size() parts or if one rank lacks the
  /// memory.
  [[nodiscard]] std::string scatter_bytes(int root, const std::vector<std::string>& per_rank) const;

  /// Collective: on `root` the bytes of each rank, elsewhere nothing.
  [[nodiscard]] std::vector<std::string> gather_bytes(int root, std::string_view bytes) const;

  /// Collective: the bytes of each rank, on every rank.
  [[nodiscard]] std::vector<std::string> all_gather_bytes(std::string_view bytes) const;

  /// Collective, before any other collective after a step that can fail: the most severe code of
  /// all ranks (severity_of), who has it, and on rank 0 the messages.
  [[nodiscard]] Agreement agree(ExitCode code, std::string_view message) const;

  /// Sends a small message, without waiting for its arrival. Throws MpiError if it has 2 GiB or
  /// more.
  void post(int to, int tag, std::string bytes) const;

  /// The next message with this tag that has come, if any. Also moves this rank's own posts along:
  /// to be called now and then by every rank that posts. Messages of one rank come in the order of
  /// their posts.
  [[nodiscard]] std::optional<Message> poll(int tag) const;

  /// Collective, called until it is true: enters a barrier the first time and then looks whether
  /// all ranks have; if not, calls `meanwhile` and sleeps a little. So a rank that is through can
  /// go on reporting the others.
  [[nodiscard]] bool all_through(const std::function<void()>& meanwhile = {}) const;

  /// Collective: waits until every post with this tag, of every rank, has been taken. Returns those
  /// that came here and were not polled. What is posted afterwards is not mixed in.
  [[nodiscard]] std::vector<Message> finish_posts(int tag) const;

  /// Most bytes that one MPI call moves for scatter, gather and broadcast (default 64 MiB). MPI
  /// counts and displacements are int, so longer data goes in pieces. Must be equal on all ranks;
  /// at least 1, less than 2 GiB.
  void set_piece_bytes(std::size_t bytes);

 private:
  friend class SharedMemory;
  std::shared_ptr<State> state_;
};

}  // namespace diffuse::mpi
