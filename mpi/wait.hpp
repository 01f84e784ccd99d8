#pragma once

#include <mpi.h>

#include <chrono>

namespace diffuse::mpi {

/// How long to sleep between two looks: 50 us, then twice as long each time, up to 5 ms. A rank
/// that waits for hours costs nothing, and short waits stay short.
class Backoff {
 public:
  static constexpr std::chrono::microseconds kFirst{50};
  static constexpr std::chrono::microseconds kLongest{5000};

  std::chrono::microseconds next();
  void sleep();
  void reset() { next_ = kFirst; }

 private:
  std::chrono::microseconds next_ = kFirst;
};

/// Throws MpiError unless `code` is MPI_SUCCESS; `call` is the MPI function that returned it.
void check(int code, const char* call);

/// True once `request` is done. Throws MpiError.
bool done(MPI_Request& request, const char* call);

/// Waits for `request`: MPI_Test and sleep. MPI_Wait would spin, and keep a core from those who
/// render.
void wait(MPI_Request& request, const char* call);

}  // namespace diffuse::mpi
