#pragma once

#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace diffuse::cpu {

/// Threads that a parallel_for may use now.
inline int max_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

/// Blocks of `size` items that hold `count`, the last one perhaps not full.
constexpr std::int64_t blocks_of(std::int64_t count, std::int64_t size) {
  return (count + size - 1) / size;
}

/// Calls body(i, thread) for i in [0, count); thread < max_threads(). Items must not depend on each
/// other, nor on the thread that they run on; body must not throw.
template <class Body>
void parallel_for(std::int64_t count, const Body& body) {
#ifdef _OPENMP
  if (count > 1 && max_threads() > 1) {
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t i = 0; i < count; ++i) body(i, omp_get_thread_num());
    return;
  }
#endif
  for (std::int64_t i = 0; i < count; ++i) body(i, 0);
}

}  // namespace diffuse::cpu
