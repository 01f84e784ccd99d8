#include "mpi/wait.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <thread>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace diffuse::mpi {

std::chrono::microseconds Backoff::next() {
  const std::chrono::microseconds now = next_;
  next_ = std::min(2 * next_, kLongest);
  return now;
}

void Backoff::sleep() { std::this_thread::sleep_for(next()); }

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) length = 0;
  const std::string_view reason(text.data(), static_cast<std::size_t>(length));
  throw MpiError(std::string(call) + " failed: " + printable(reason) +
                 ": the ranks cannot go on together; whole pictures are kept, so start the same "
                 "command again");
}

bool done(MPI_Request& request, const char* call) {
  int flag = 0;
  check(MPI_Test(&request, &flag, MPI_STATUS_IGNORE), call);
  return flag != 0;
}

void wait(MPI_Request& request, const char* call) {
  Backoff backoff;
  while (!done(request, call)) backoff.sleep();
}

}  // namespace diffuse::mpi
