#include "mpi/communicator.hpp"

#include <array>
#include <limits>

#include "mpi/state.hpp"
#include "mpi/wait.hpp"

namespace diffuse::mpi {

Communicator::State::State(MPI_Comm owned) : comm(owned) {
  check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
  check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  check(MPI_Get_processor_name(name.data(), &length), "MPI_Get_processor_name");
  host.assign(name.data(), static_cast<std::size_t>(length));
}

Communicator::State::~State() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  // A post that never arrived may still be read by MPI: its bytes must outlive this object.
  // NOLINTBEGIN(bugprone-unhandled-exception-at-new,clang-analyzer-cplusplus.NewDeleteLeaks)
  if (!outbox.empty()) static_cast<void>(new std::list<Posted>(std::move(outbox)));
  // NOLINTEND(bugprone-unhandled-exception-at-new,clang-analyzer-cplusplus.NewDeleteLeaks)
  if (finalized == 0) MPI_Comm_free(&comm);
}

Communicator make_communicator(MPI_Comm of) {
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(of, &copy), "MPI_Comm_dup");
  auto state = std::make_shared<Communicator::State>(copy);
  MPI_Comm node = MPI_COMM_NULL;
  check(MPI_Comm_split_type(copy, MPI_COMM_TYPE_SHARED, state->rank, MPI_INFO_NULL, &node),
        "MPI_Comm_split_type");
  state->node = std::make_shared<Communicator::State>(node);
  return Communicator(std::move(state));
}

Communicator::Communicator(std::shared_ptr<State> state) : state_(std::move(state)) {}

int Communicator::rank() const { return state_->rank; }
int Communicator::size() const { return state_->size; }
int Communicator::local_rank() const { return node().rank(); }
int Communicator::local_size() const { return node().size(); }
const std::string& Communicator::host() const { return state_->host; }

Communicator Communicator::node() const {
  return state_->node ? Communicator(state_->node) : *this;
}

void Communicator::set_piece_bytes(std::size_t bytes) {
  if (bytes < 1 || bytes > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw MpiError("pieces of " + std::to_string(bytes) +
                   " bytes: MPI counts in int; give 1 to 2147483647");
  }
  state_->piece_bytes = bytes;
}

void Communicator::barrier() const {
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibarrier(state_->comm, &request), "MPI_Ibarrier");
  wait(request, "MPI_Ibarrier");
}

bool Communicator::all_of(bool mine) const {
  const int here = mine ? 1 : 0;
  int everywhere = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallreduce(&here, &everywhere, 1, MPI_INT, MPI_MIN, state_->comm, &request),
        "MPI_Iallreduce");
  wait(request, "MPI_Iallreduce");
  return everywhere == 1;
}

Agreement Communicator::agree(ExitCode code, std::string_view message) const {
  struct Located {
    int severity;
    int rank;
  };
  const Located here{severity_of(code), rank()};
  Located worst{};
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallreduce(&here, &worst, 1, MPI_2INT, MPI_MAXLOC, state_->comm, &request),
        "MPI_Iallreduce");
  wait(request, "MPI_Iallreduce");
  Agreement agreement;
  if (worst.severity == severity_of(ExitCode::ok)) return agreement;

  agreement.code = code_with_severity(worst.severity);
  agreement.rank = worst.rank;
  const std::string mine = std::to_string(static_cast<int>(code)) + '\n' + host() + '\n';
  const auto verdicts = gather_bytes(0, mine + std::string(message));
  for (std::size_t from = 0; from < verdicts.size(); ++from) {
    const std::string& text = verdicts[from];
    const std::size_t first = text.find('\n');
    const std::size_t second = text.find('\n', first + 1);
    Verdict verdict{static_cast<int>(from), text.substr(first + 1, second - first - 1),
                    static_cast<ExitCode>(std::stoi(text)), text.substr(second + 1)};
    if (verdict.code != ExitCode::ok) agreement.failures.push_back(std::move(verdict));
  }
  return agreement;
}

}  // namespace diffuse::mpi
