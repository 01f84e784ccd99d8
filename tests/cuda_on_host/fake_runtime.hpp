#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

// A CUDA runtime without a GPU, for the host code of kernels/cuda: streams are queues whose work
// runs when somebody waits for it and not before, so that what relies on luck fails. Asking for an
// event lets its stream do one piece of work. Device memory begins as NaN, and is gone once freed.
namespace fake_cuda {

struct Runtime {
  int driver = 13000, devices = 1, major = 9, minor = 0;
  bool capture_fails = false, instantiation_fails = false;
  double milliseconds = 0;  ///< the device's clock: stands still unless work of a stream moves it
  int captures = 0, launches = 0, executables = 0, graphs = 0, allocations = 0, events = 0;
  int streams = 0;         // that were given work
  int pinned = 0;          // allocations so far
  int beside_capture = 0;  // calls for one stream while another was captured
  /// Bytes of device memory. What a stream has freed is its own at once, and the others' when the
  /// stream comes to it.
  std::size_t memory = SIZE_MAX, memory_used = 0;
};

Runtime& runtime();
/// Work of a stream (a cudaStream_t): done later, or becomes part of a graph.
void enqueue(void* stream, std::function<void()> work);
bool is_capturing(void* stream);

}  // namespace fake_cuda
