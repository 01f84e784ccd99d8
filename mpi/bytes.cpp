// Scatter, gather and broadcast of bytes in pieces.

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>

#include "mpi/communicator.hpp"
#include "mpi/state.hpp"
#include "mpi/wait.hpp"

namespace diffuse::mpi {
namespace {

/// How `size` ranks share one piece: round i moves bytes [i share, (i + 1) share) of each rank. The
/// sum over the ranks is at most the piece (or one byte each), so int counts and int displacements
/// hold it.
struct Rounds {
  std::uint64_t share;

  Rounds(std::size_t piece_bytes, int size)
      : share(std::max<std::uint64_t>(1, piece_bytes / static_cast<std::uint64_t>(size))) {}

  [[nodiscard]] std::uint64_t count(std::uint64_t longest) const {
    return longest / share + (longest % share != 0 ? 1 : 0);
  }
  [[nodiscard]] std::uint64_t begin(std::uint64_t round, std::uint64_t total) const {
    return std::min(round * share, total);
  }
  [[nodiscard]] int length(std::uint64_t round, std::uint64_t total) const {
    return static_cast<int>(std::min(share, total - begin(round, total)));
  }
};

/// Counts and displacements of one round, on the root.
struct Layout {
  std::vector<int> counts;
  std::vector<int> offsets;

  Layout(const Rounds& rounds, std::uint64_t round, const std::vector<std::uint64_t>& totals) {
    for (const std::uint64_t total : totals) counts.push_back(rounds.length(round, total));
    offsets.resize(counts.size());
    std::exclusive_scan(counts.begin(), counts.end(), offsets.begin(), 0);
  }
  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(offsets.back()) + static_cast<std::size_t>(counts.back());
  }
};

constexpr std::uint64_t kRefused = ~std::uint64_t{0};

std::uint64_t longest_of(const std::vector<std::uint64_t>& totals) {
  return *std::max_element(totals.begin(), totals.end());
}

/// Makes room, and makes sure that every rank has it before anyone sends.
void resize_everywhere(const Communicator& comm, std::string& bytes, std::uint64_t size) {
  bool fits = true;
  try {
    bytes.resize(size);
  } catch (const std::exception&) {
    fits = false;
  }
  if (!comm.all_of(fits)) {
    throw MpiError("not enough memory on a rank for " + std::to_string(size) +
                       " bytes of the list or its results; split the list",
                   ExitCode::bad_list);
  }
}

}  // namespace

std::string Communicator::broadcast_bytes(int root, std::string bytes) const {
  std::uint64_t total = bytes.size();
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibcast(&total, 1, MPI_UINT64_T, root, state_->comm, &request), "MPI_Ibcast");
  wait(request, "MPI_Ibcast");
  if (rank() != root) bytes.clear();
  resize_everywhere(*this, bytes, total);

  const Rounds rounds(state_->piece_bytes, 1);
  for (std::uint64_t round = 0; round < rounds.count(total); ++round) {
    check(MPI_Ibcast(bytes.data() + rounds.begin(round, total), rounds.length(round, total),
                     MPI_BYTE, root, state_->comm, &request),
          "MPI_Ibcast");
    wait(request, "MPI_Ibcast");
  }
  return bytes;
}

std::string Communicator::scatter_bytes(int root, const std::vector<std::string>& per_rank) const {
  // Each rank learns how much it gets, and how much the one with most: from this it knows the
  // rounds.
  const bool sends = rank() == root;
  const auto parts = static_cast<std::size_t>(size());
  std::vector<std::uint64_t> totals(parts, kRefused);
  std::vector<std::uint64_t> told(2 * parts, kRefused);
  if (sends && per_rank.size() == parts) {
    for (std::size_t to = 0; to < parts; ++to) totals[to] = per_rank[to].size();
    for (std::size_t to = 0; to < parts; ++to) {
      told[2 * to] = totals[to];
      told[2 * to + 1] = longest_of(totals);
    }
  }
  std::array<std::uint64_t, 2> mine{};
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iscatter(told.data(), 2, MPI_UINT64_T, mine.data(), 2, MPI_UINT64_T, root, state_->comm,
                     &request),
        "MPI_Iscatter");
  wait(request, "MPI_Iscatter");
  const auto [total, longest] = mine;
  if (longest == kRefused) throw MpiError("scatter_bytes needs one part for each rank");

  std::string received;
  resize_everywhere(*this, received, total);
  const Rounds rounds(state_->piece_bytes, size());
  std::string piece;
  for (std::uint64_t round = 0; round < rounds.count(longest); ++round) {
    Layout layout(rounds, round, sends ? totals : std::vector<std::uint64_t>(parts, 0));
    piece.clear();
    for (std::size_t to = 0; sends && to < parts; ++to) {
      piece.append(per_rank[to], rounds.begin(round, totals[to]),
                   static_cast<std::size_t>(layout.counts[to]));
    }
    check(MPI_Iscatterv(piece.data(), layout.counts.data(), layout.offsets.data(), MPI_BYTE,
                        received.data() + rounds.begin(round, total), rounds.length(round, total),
                        MPI_BYTE, root, state_->comm, &request),
          "MPI_Iscatterv");
    wait(request, "MPI_Iscatterv");
  }
  return received;
}

std::vector<std::string> Communicator::gather_bytes(int root, std::string_view bytes) const {
  const bool receives = rank() == root;
  const auto parts = static_cast<std::size_t>(size());
  const std::uint64_t total = bytes.size();
  std::vector<std::uint64_t> totals(parts, 0);
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallgather(&total, 1, MPI_UINT64_T, totals.data(), 1, MPI_UINT64_T, state_->comm,
                       &request),
        "MPI_Iallgather");
  wait(request, "MPI_Iallgather");

  std::vector<std::string> received(receives ? parts : 0);
  const Rounds rounds(state_->piece_bytes, size());
  std::string piece;
  for (std::uint64_t round = 0; round < rounds.count(longest_of(totals)); ++round) {
    const Layout layout(rounds, round, totals);
    if (receives) piece.resize(layout.bytes());
    check(MPI_Igatherv(bytes.data() + rounds.begin(round, total), rounds.length(round, total),
                       MPI_BYTE, piece.data(), layout.counts.data(), layout.offsets.data(),
                       MPI_BYTE, root, state_->comm, &request),
          "MPI_Igatherv");
    wait(request, "MPI_Igatherv");
    for (std::size_t from = 0; from < received.size(); ++from) {
      received[from].append(piece, static_cast<std::size_t>(layout.offsets[from]),
                            static_cast<std::size_t>(layout.counts[from]));
    }
  }
  return received;
}

std::vector<std::string> Communicator::all_gather_bytes(std::string_view bytes) const {
  std::vector<std::string> parts;
  parts.reserve(static_cast<std::size_t>(size()));
  for (int from = 0; from < size(); ++from) {
    parts.push_back(broadcast_bytes(from, from == rank() ? std::string(bytes) : std::string()));
  }
  return parts;
}

}  // namespace diffuse::mpi
