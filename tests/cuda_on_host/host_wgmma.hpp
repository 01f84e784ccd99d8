#pragma once

// Twins of the instructions of kernels/cuda/wgmma_tile.cuh. Part of host_cuda.hpp.
//
// A product reads its operands when it starts; while it is under way its accumulators are NaN, and
// it is an error if by the time it is waited for an operand or an accumulator has been written to.
// wgmma sees shared memory through a proxy of its own: what threads write appears there with
// fence_shared(), what a copy under way will overwrite is lost there at once.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

namespace host_cuda {

/// Where the block's dynamic shared memory begins in the shared address space: aligned no better
/// than its declaration says.
inline constexpr unsigned kSharedBase = 0x410;

/// [16 k, columns] of B, as its bits and as numbers, column after column.
struct WgmmaB {
  std::vector<std::uint16_t> bits;
  std::vector<float> values;
};

struct WgmmaOperands {
  const unsigned* a;
  unsigned a_was[4];
  std::uint64_t descriptor;
  int columns;
  bool transposed;
  float (*to_float)(std::uint16_t bits);
  std::shared_ptr<const WgmmaB> b_was;
  float* accumulators;
};

/// Sums of accumulators that products under way add to.
struct WgmmaSums {
  float* accumulators;
  std::vector<float> sums;
  int products;
};

/// wgmma of one thread.
struct Wgmma {
  bool fenced = false;
  std::vector<WgmmaSums> sums;
  std::vector<std::vector<WgmmaOperands>> groups{1};  ///< committed; the last one still open
};

/// What wgmma has seen of shared memory since that changed last.
struct WgmmaView {
  std::vector<unsigned char> bytes;
  std::map<std::tuple<std::uint64_t, int, bool>, std::shared_ptr<const WgmmaB>> known;
};

using HalfToFloat = float (*)(std::uint16_t bits);

unsigned shared_address(const void* at);
/// A copy to shared memory is on its way: what lies there is lost.
void spoil_for_wgmma(const void* to, std::size_t bytes);
void start_wgmma(float* accumulators, int columns, const unsigned (&a)[4], std::uint64_t descriptor,
                 bool transposed, bool accumulate, HalfToFloat to_float);
void fence_wgmma();
void commit_wgmma();
void wait_wgmma(int pending);
void fence_shared();
/// At the end of a thread: nothing may be under way.
void check_wgmma_ended();

}  // namespace host_cuda
