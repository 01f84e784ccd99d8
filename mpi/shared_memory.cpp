#include "mpi/shared_memory.hpp"

#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <utility>

#include "mpi/state.hpp"

namespace diffuse::mpi {
namespace {

// What the library and others need beside us.
constexpr std::size_t kReserve = std::size_t{16} << 20;

}  // namespace

struct SharedMemory::State {
  Communicator node;
  MPI_Win window = MPI_WIN_NULL;
  std::byte* data = nullptr;
  std::size_t bytes = 0;
  int exceptions_at_start = std::uncaught_exceptions();
};

std::size_t free_shared_bytes() {
  struct statvfs room {};
  if (statvfs("/dev/shm", &room) != 0) return 0;
  return static_cast<std::size_t>(room.f_bavail) * room.f_frsize;
}

std::shared_ptr<SharedMemory> SharedMemory::allocate(const Communicator& node, std::size_t bytes,
                                                     std::string* why) {
  // Asked for before any rank has touched a page, so that all see the same room.
  const std::size_t room = free_shared_bytes();
  if (!node.all_of(room >= kReserve && bytes <= room - kReserve)) {
    *why = "/dev/shm has " + std::to_string(room >> 20U) + " MiB left, " +
           std::to_string((bytes + kReserve) >> 20U) + " MiB are needed";
    return nullptr;
  }

  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t whole = (bytes + page - 1) / page * page;
  auto state = std::make_unique<State>(State{.node = node});
  void* mine = nullptr;
  const int code =
      MPI_Win_allocate_shared(node.is_root() ? static_cast<MPI_Aint>(whole + page) : 0, 1,
                              MPI_INFO_NULL, node.state_->comm, &mine, &state->window);
  if (!node.all_of(code == MPI_SUCCESS)) {
    *why = "MPI_Win_allocate_shared failed";
    return nullptr;
  }
  MPI_Aint size = 0;
  int unit = 0;
  void* base = nullptr;
  check(MPI_Win_shared_query(state->window, 0, &size, &unit, &base), "MPI_Win_shared_query");
  check(MPI_Win_lock_all(MPI_MODE_NOCHECK, state->window), "MPI_Win_lock_all");

  // The library's own notes may share the first page; mappings begin at pages in every process.
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  state->data = static_cast<std::byte*>(base) + (page - address % page) % page;
  state->bytes = whole;
  if (node.size() == 1) std::memset(state->data, 0, whole);  // from the heap, see the destructor
  return std::shared_ptr<SharedMemory>(new SharedMemory(std::move(state)));
}

SharedMemory::SharedMemory(std::unique_ptr<State> state) : state_(std::move(state)) {}

SharedMemory::~SharedMemory() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  // Freeing is collective: not while an exception takes this rank elsewhere than the others.
  if (finalized != 0 || std::uncaught_exceptions() > state_->exceptions_at_start) return;
  try {
    state_->node.barrier();  // which sleeps while it waits, unlike MPI's own in MPI_Win_free
  } catch (const std::exception&) {
    return;
  }
  // A rank that is alone on its node has been given a piece of its own heap, which goes back there.
  mprotect(state_->data, state_->bytes, PROT_READ | PROT_WRITE);
  MPI_Win_unlock_all(state_->window);
  MPI_Win_free(&state_->window);
}

void* SharedMemory::data() const { return state_->data; }
std::size_t SharedMemory::bytes() const { return state_->bytes; }

void SharedMemory::publish() {
  check(MPI_Win_sync(state_->window), "MPI_Win_sync");
  state_->node.barrier();
  check(MPI_Win_sync(state_->window), "MPI_Win_sync");
  // A stray write would change every rank's pictures; now it ends one rank instead. Where the
  // system refuses, nothing is lost.
  mprotect(state_->data, state_->bytes, PROT_READ);
}

}  // namespace diffuse::mpi
