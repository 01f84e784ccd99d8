// The twin of wgmma, against a plain product: where elements lie in shared memory and in registers
// is written down here once more, the other way round, from the figures of the PTX ISA.
#include <array>
#include <catch2/catch.hpp>

#include "kernels/cuda/wgmma_tile.cuh"

namespace diffuse::cuda {
namespace {

constexpr int kK = 16;
constexpr std::size_t kBytes = 40 * 1024;

enum class Fault { none, no_fence, not_shared, early_read, overwritten, never_waited };

// What the kernel below multiplies, and what came of it. Small whole numbers: sums are exact.
struct Problem {
  int columns = 0;
  bool transposed = false;
  std::uint64_t descriptor = 0;                       // of an address of 0
  std::vector<std::pair<std::size_t, float>> shared;  // halves by their offset in bytes
  Fault fault = Fault::none;
  std::array<std::array<float, 80>, 64> d{};
};
Problem* problem = nullptr;

float a_of(int row, int k) { return static_cast<float>((3 * row + 5 * k) % 7 - 3); }
float b_of(int k, int column) { return static_cast<float>((2 * k + 9 * column) % 11 - 5); }
float c_of(int row, int column) { return static_cast<float>(row - 2 * column); }

// Where D's element is held: "Register Fragments for wgmma.mma_async.m64nNk16", D. A's likewise.
int thread_of(int row, int column) { return row / 16 * 32 + row % 8 * 4 + column % 8 / 2; }
int index_of(int row, int column) { return column / 8 * 4 + row % 16 / 8 * 2 + column % 2; }

template <int N, bool transposed>
void start(float (&d)[N / 8][4], const unsigned (&a)[4], std::uint64_t b) {
  start_wgmma<__half, N, transposed>(d, 0, a, b, true);
}

template <int N>
void multiply(const unsigned (&a)[4], std::uint64_t b, unsigned char* tile) {
  const auto thread = static_cast<int>(threadIdx.x);
  float d[N / 8][4];
  for (int row = 0; row < 64; ++row) {
    for (int column = 0; column < N; ++column) {
      if (thread_of(row, column) != thread) continue;
      const int i = index_of(row, column);
      d[i / 4][i % 4] = c_of(row, column);
    }
  }
  if (problem->fault != Fault::no_fence) fence_wgmma();
  if (problem->transposed) {
    start<N, true>(d, a, b);
  } else {
    start<N, false>(d, a, b);
  }
  commit_wgmma();
  if (problem->fault == Fault::overwritten && thread == 127) {
    copy_async(tile, nullptr, false);
    commit_copies();
  }
  if (problem->fault == Fault::never_waited) return;
  if (problem->fault != Fault::early_read) wait_wgmma<0>();
  for (int row = 0; row < 64; ++row) {
    for (int column = 0; column < N; ++column) {
      if (thread_of(row, column) != thread) continue;
      const int i = index_of(row, column);
      problem->d[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)] = d[i / 4][i % 4];
    }
  }
  wait_wgmma<0>();
}

void kernel() {
  DYNAMIC_SHARED(unsigned char, shared);
  unsigned char* aligned = shared + (1024 - shared_address(shared) % 1024);
  const auto thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    for (const auto& [at, value] : problem->shared) {
      const __half half = __float2half_rn(value);
      memcpy(aligned + at, &half, 2);
    }
  }
  if (problem->fault != Fault::not_shared) fence_shared();
  __syncthreads();
  unsigned a[4] = {};
  for (int row = 0; row < 64; ++row) {
    for (int k = 0; k < kK; ++k) {
      if (thread_of(row, k) != thread) continue;
      const __half half = __float2half_rn(a_of(row, k));
      // Registers: rows below 8, rows from 8 on; then the same of the columns from 8 on.
      memcpy(reinterpret_cast<char*>(&a[row % 16 / 8 + k / 8 * 2]) + k % 2 * 2, &half, 2);
    }
  }
  const std::uint64_t b = problem->descriptor + shared_address(aligned) / 16;
  switch (problem->columns) {
    case 32:
      return multiply<32>(a, b, aligned);
    case 48:
      return multiply<48>(a, b, aligned);
    case 64:
      return multiply<64>(a, b, aligned);
    default:
      return multiply<80>(a, b, aligned);
  }
}

void run(Problem& of) {
  problem = &of;
  host_cuda::run(kernel, dim3(1), dim3(128), kBytes);
}

int wrong_values(const Problem& of) {
  int wrong = 0;
  for (int row = 0; row < 64; ++row) {
    for (int column = 0; column < of.columns; ++column) {
      float want = c_of(row, column);
      for (int k = 0; k < kK; ++k) want += a_of(row, k) * b_of(k, column);
      const float got = of.d[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
      wrong += got == want ? 0 : 1;
    }
  }
  return wrong;
}

// A tile as the kernels lay it out: rows of 16 numbers in regions, the header's functions.
Problem region_problem(int columns, bool transposed) {
  Problem p{columns, transposed, 0, {}, Fault::none, {}};
  const int rows = transposed ? kK : columns, across = transposed ? columns : kK;
  const unsigned region = kRegionRow * static_cast<unsigned>(rows);
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < across; ++c) {
      const std::size_t at =
          static_cast<unsigned>(c / 16) * region +
          region_offset(static_cast<unsigned>(r), static_cast<unsigned>(c / 8 % 2)) +
          static_cast<unsigned>(c % 8 * 2);
      p.shared.emplace_back(at, transposed ? b_of(r, c) : b_of(c, r));
    }
  }
  p.descriptor = region_descriptor(0, region);
  return p;
}

// The figures of "Shared Memory Matrix Layout": atoms of 8 rows of `chunks` chunks of 16 bytes. In
// row r the chunk at place j of a swizzle of 128, 64, 32 bytes is chunk j xor r, r/2, r/4.
std::size_t place_in_atom(int row, int chunk, int chunks) {
  const int turn = chunks == 8 ? row : chunks == 4 ? row / 2 : chunks == 2 ? row / 4 : 0;
  return static_cast<std::size_t>(16 * (row * chunks + (chunk ^ turn)));
}

// One product's B in atoms of a swizzle, mode 0 to 3 of a descriptor.
Problem atom_problem(int columns, bool transposed, unsigned mode) {
  const int chunks = std::array{1, 8, 4, 2}[mode];
  Problem p{columns, transposed, 0, {}, Fault::none, {}};
  // Apart by a kilobyte, the atoms' largest size, and in the other direction by all of these.
  const std::size_t near = 1024, far = 10 * near;
  for (int k = 0; k < kK; ++k) {
    for (int n = 0; n < columns; ++n) {
      const int row = transposed ? k : n, across = transposed ? n : k;
      std::size_t at = place_in_atom(row % 8, across / 8 % chunks, chunks);
      if (transposed) {
        at += static_cast<std::size_t>(n / (8 * chunks)) * near +
              static_cast<std::size_t>(k / 8) * far;
      } else {
        at += static_cast<std::size_t>(n / 8) * near +
              static_cast<std::size_t>(k / (8 * chunks)) * far;
      }
      p.shared.emplace_back(at + static_cast<std::size_t>(across % 8 * 2), b_of(k, n));
    }
  }
  // Leading: K-major, from one chunk to the next without a swizzle; MN-major, between atoms along
  // n, where without a swizzle the two change their names.
  const bool swapped = transposed && mode != 0;
  const std::uint64_t leading = swapped ? near : far, stride = swapped ? far : near;
  p.descriptor = leading / 16 << 16 | stride / 16 << 32 | static_cast<std::uint64_t>(mode) << 62;
  return p;
}

}  // namespace

TEST_CASE("wgmma's twin multiplies what the kernels' layout holds") {
  host_cuda::state().schedule = host_cuda::Schedule::shuffled;
  for (const int columns : {32, 48, 64, 80}) {
    for (const bool transposed : {false, true}) {
      Problem p = region_problem(columns, transposed);
      run(p);
      INFO(columns << " columns, " << (transposed ? "transposed" : "as stored"));
      CHECK(wrong_values(p) == 0);
    }
  }
}

TEST_CASE("wgmma's twin follows a descriptor of every swizzle") {
  for (const unsigned mode : {0U, 1U, 2U, 3U}) {
    for (const bool transposed : {false, true}) {
      Problem p = atom_problem(80, transposed, mode);
      run(p);
      INFO("mode " << mode << (transposed ? ", MN-major" : ", K-major"));
      CHECK(wrong_values(p) == 0);
      // Another stride is another matrix.
      p.descriptor ^= std::uint64_t{1} << 32;
      run(p);
      CHECK(wrong_values(p) > 0);
    }
  }
}

TEST_CASE("wgmma's twin refuses, or poisons, what the device would not forgive") {
  const auto with = [](Fault fault) {
    Problem p = region_problem(64, false);
    p.fault = fault;
    run(p);
    return p;
  };
  CHECK(wrong_values(with(Fault::none)) == 0);
  CHECK(wrong_values(with(Fault::not_shared)) == 64 * 64);
  CHECK(wrong_values(with(Fault::early_read)) == 64 * 64);
  CHECK_THROWS_WITH(with(Fault::no_fence), "wgmma: no wgmma.fence since registers were waited for");
  CHECK_THROWS_WITH(with(Fault::never_waited), "wgmma: a thread ended before its products");
  CHECK_THROWS_WITH(with(Fault::overwritten),
                    "wgmma: shared memory was written to while it was under way");
}

}  // namespace diffuse::cuda
