// Messages from rank to rank while the run goes on.

#include <algorithm>
#include <limits>

#include "mpi/communicator.hpp"
#include "mpi/state.hpp"
#include "mpi/wait.hpp"

namespace diffuse::mpi {
namespace {

void drop_arrived(std::list<Posted>& outbox) {
  outbox.remove_if([](Posted& posted) { return done(posted.request, "MPI_Issend"); });
}

bool has_tag(const std::list<Posted>& outbox, int tag) {
  return std::any_of(outbox.begin(), outbox.end(),
                     [tag](const Posted& posted) { return posted.tag == tag; });
}

}  // namespace

void Communicator::post(int to, int tag, std::string bytes) const {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw MpiError("a message of " + std::to_string(bytes.size()) +
                   " bytes is too long to be sent at once; gather it instead");
  }
  drop_arrived(state_->outbox);
  Posted& posted = state_->outbox.emplace_back();
  posted.tag = tag;
  posted.bytes = std::move(bytes);
  // Synchronous mode: done means that the receiver has taken it, which finish_posts() relies on.
  check(MPI_Issend(posted.bytes.data(), static_cast<int>(posted.bytes.size()), MPI_BYTE, to, tag,
                   state_->comm, &posted.request),
        "MPI_Issend");
}

std::optional<Message> Communicator::poll(int tag) const {
  drop_arrived(state_->outbox);
  int found = 0;
  MPI_Message handle = MPI_MESSAGE_NULL;
  MPI_Status status{};
  check(MPI_Improbe(MPI_ANY_SOURCE, tag, state_->comm, &found, &handle, &status), "MPI_Improbe");
  if (found == 0) return std::nullopt;

  int length = 0;
  check(MPI_Get_count(&status, MPI_BYTE, &length), "MPI_Get_count");
  Message message{status.MPI_SOURCE, std::string(static_cast<std::size_t>(length), '\0')};
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Imrecv(message.bytes.data(), length, MPI_BYTE, &handle, &request), "MPI_Imrecv");
  wait(request, "MPI_Imrecv");
  return message;
}

bool Communicator::all_through(const std::function<void()>& meanwhile) const {
  if (state_->through == MPI_REQUEST_NULL) {
    state_->through_backoff.reset();
    check(MPI_Ibarrier(state_->comm, &state_->through), "MPI_Ibarrier");
  }
  // A finished MPI_Test leaves MPI_REQUEST_NULL, ready for the next time.
  if (done(state_->through, "MPI_Ibarrier")) return true;
  if (meanwhile) meanwhile();
  state_->through_backoff.sleep();
  return false;
}

std::vector<Message> Communicator::finish_posts(int tag) const {
  std::vector<Message> messages;
  MPI_Request all_arrived = MPI_REQUEST_NULL;
  bool mine_arrived = false;
  Backoff backoff;
  while (true) {
    while (auto message = poll(tag)) {
      messages.push_back(std::move(*message));
      backoff.reset();
    }
    if (!mine_arrived && !has_tag(state_->outbox, tag)) {
      check(MPI_Ibarrier(state_->comm, &all_arrived), "MPI_Ibarrier");
      mine_arrived = true;
    }
    if (mine_arrived && done(all_arrived, "MPI_Ibarrier")) break;
    backoff.sleep();
  }
  // Nobody may post anew while another rank still polls for the old ones.
  barrier();
  return messages;
}

}  // namespace diffuse::mpi
