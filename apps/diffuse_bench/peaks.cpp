#include "apps/diffuse_bench/peaks.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#if defined(__x86_64__)
#include <emmintrin.h>

#include "kernels/cpu/isa/tiles.hpp"
#endif

namespace diffuse::bench {
namespace {

using Clock = std::chrono::steady_clock;

// One loop: 14 independent accumulators, as many as the longest latency times the widest issue
// needs, in registers by name, so that no compiler can spill or drop them.
struct Loop {
  void (*run)(std::int64_t rounds);
  double flops_a_round;
};

#if defined(__x86_64__)

#define DIFFUSE_CLOBBERS                                                                         \
  "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define DIFFUSE_TIMES_14(op, r)                                                                    \
  op " %%" r "14,%%" r "15,%%" r "0\n" op " %%" r "14,%%" r "15,%%" r "1\n" op " %%" r "14,%%" r   \
     "15,%%" r "2\n" op " %%" r "14,%%" r "15,%%" r "3\n" op " %%" r "14,%%" r "15,%%" r "4\n" op  \
     " %%" r "14,%%" r "15,%%" r "5\n" op " %%" r "14,%%" r "15,%%" r "6\n" op " %%" r "14,%%" r   \
     "15,%%" r "7\n" op " %%" r "14,%%" r "15,%%" r "8\n" op " %%" r "14,%%" r "15,%%" r "9\n" op  \
     " %%" r "14,%%" r "15,%%" r "10\n" op " %%" r "14,%%" r "15,%%" r "11\n" op " %%" r "14,%%" r \
     "15,%%" r "12\n" op " %%" r "14,%%" r "15,%%" r "13\n"
#define DIFFUSE_LOOP(body) "vzeroall\n1:\n" body "sub $1,%0\njnz 1b\nvzeroupper\n"

void fma_avx512(std::int64_t rounds) {
  asm volatile(DIFFUSE_LOOP(DIFFUSE_TIMES_14("vfmadd231ps", "zmm"))
               : "+r"(rounds)::DIFFUSE_CLOBBERS);
}
void dot_bf16_avx512(std::int64_t rounds) {
  asm volatile(DIFFUSE_LOOP(DIFFUSE_TIMES_14("vdpbf16ps", "zmm")) : "+r"(rounds)::DIFFUSE_CLOBBERS);
}
void fma_avx2(std::int64_t rounds) {
  asm volatile(DIFFUSE_LOOP(DIFFUSE_TIMES_14("vfmadd231ps", "ymm"))
               : "+r"(rounds)::DIFFUSE_CLOBBERS);
}
// Numbers of both signs below 2: a tile unit takes less current for zeros, and keeps a higher
// clock.
struct TileValues {
  alignas(64) std::uint16_t bits[16][32];
  TileValues() {
    std::uint32_t random = 1;
    for (auto& row : bits) {
      for (std::uint16_t& value : row) {
        random = random * 1664525U + 1013904223U;
        value = static_cast<std::uint16_t>((random >> 16U & 0x807FU) | 0x3F80U);
      }
    }
  }
};
// A product takes 16 cycles where the others take half of one: fewer rounds for the same time.
constexpr std::int64_t kTileShare = 16;
void dot_bf16_tiles(std::int64_t rounds) {
  using Tiles = cpu::AmxTiles;
  static const TileValues values;
  Tiles::begin();
  Tiles::load<6>(values.bits, sizeof(values.bits[0]));
  Tiles::load<7>(values.bits, sizeof(values.bits[0]));
  for (std::int64_t i = 0; i < rounds; i += kTileShare) {
    Tiles::multiply_add<0, 6, 7>();
    Tiles::multiply_add<1, 6, 7>();
    Tiles::multiply_add<2, 6, 7>();
    Tiles::multiply_add<3, 6, 7>();
    Tiles::multiply_add<4, 6, 7>();
    Tiles::multiply_add<5, 6, 7>();
  }
  Tiles::end();
}
// Each waits three cycles for the one before; additions of constants are taken together by some.
void multiply_chain(std::int64_t rounds) {
  asm volatile("1:\nimul %%rax,%%rax\nimul %%rax,%%rax\nsub $1,%0\njnz 1b\n"
               : "+r"(rounds)::"cc", "rax");
}

constexpr double kAccumulators = 14;

Loop f32_loop() {
  if (__builtin_cpu_supports("avx512f")) return {fma_avx512, kAccumulators * 16 * 2};
  if (__builtin_cpu_supports("fma")) return {fma_avx2, kAccumulators * 8 * 2};
  return {nullptr, 0};
}
Loop bf16_loop(bool tiles) {
  constexpr double kTileFlops = 16 * 16 * 32 * 2;
  if (tiles) return {dot_bf16_tiles, 6 * kTileFlops / kTileShare};
  if (__builtin_cpu_supports("avx512bf16")) return {dot_bf16_avx512, kAccumulators * 32 * 2};
  return {nullptr, 0};
}
Loop clock_loop() { return {multiply_chain, 6}; }

void stream_copy(const std::byte* from, std::byte* to, std::size_t bytes) {
  const auto* source = reinterpret_cast<const __m128i*>(from);
  auto* target = reinterpret_cast<__m128i*>(to);
  for (std::size_t i = 0; i < bytes / sizeof(__m128i); ++i) {
    _mm_stream_si128(target + i, _mm_load_si128(source + i));
  }
  _mm_sfence();
}

#else

Loop f32_loop() { return {nullptr, 0}; }
Loop bf16_loop(bool) { return {nullptr, 0}; }
Loop clock_loop() { return {nullptr, 0}; }
void stream_copy(const std::byte* from, std::byte* to, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}

#endif

void run_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  sched_setaffinity(0, sizeof set, &set);  // the figure is the same elsewhere: no harm if refused
}

// The rates of `windows` windows in which every CPU of `cpus` does `work(thread)`; a window lasts
// from the common start to the last end.
template <class Work>
std::vector<double> window_rates(const std::vector<int>& cpus, int windows, double amount,
                                 const Work& work) {
  const int count = static_cast<int>(cpus.size());
  std::atomic<int> arrived{0};
  std::vector<Clock::time_point> ends(cpus.size());
  std::vector<double> rates;
  const auto meet = [&](int round) {
    arrived.fetch_add(1);
    while (arrived.load() < round * count) std::this_thread::yield();
  };
  std::vector<std::thread> threads;
  threads.reserve(cpus.size());
  for (int t = 0; t < count; ++t) {
    threads.emplace_back([&, t] {
      run_on(cpus[static_cast<std::size_t>(t)]);
      for (int w = 0; w < windows; ++w) {
        meet(2 * w + 1);
        const auto start = Clock::now();
        work(t);
        ends[static_cast<std::size_t>(t)] = Clock::now();
        meet(2 * w + 2);
        if (t != 0) continue;
        const auto end = *std::max_element(ends.begin(), ends.end());
        const std::chrono::duration<double> taken = end - start;
        rates.push_back(amount * count / taken.count());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return rates;
}

double best_of(const std::vector<double>& rates) {
  return *std::max_element(rates.begin(), rates.end());
}

constexpr int kWindows = 400;
constexpr std::int64_t kRounds = 1
                                 << 17;  // half a millisecond, less than a time slice of the system

std::vector<double> flop_rates(const Loop& loop, const std::vector<int>& cpus, int windows,
                               std::int64_t rounds) {
  return window_rates(cpus, windows, loop.flops_a_round * static_cast<double>(rounds),
                      [&](int) { loop.run(rounds); });
}

double flop_rate(const Loop& loop, const std::vector<int>& cpus) {
  return best_of(flop_rates(loop, cpus, kWindows, kRounds));
}

double copy_rate(const std::vector<int>& cpus) {
  constexpr std::size_t kBytes = std::size_t{256} << 20;  // far beyond any cache
  constexpr int kCopies = 12;
  const std::size_t each = kBytes / cpus.size() / 64 * 64;
  const auto allocate = [] {
    return std::unique_ptr<std::byte, decltype(&std::free)>(
        static_cast<std::byte*>(std::aligned_alloc(64, kBytes)), &std::free);
  };
  const auto from = allocate();
  const auto to = allocate();
  if (from == nullptr || to == nullptr) return 0;
  std::memset(from.get(), 1, kBytes);
  std::memset(to.get(), 1, kBytes);
  return best_of(window_rates(cpus, kCopies, 2.0 * static_cast<double>(each), [&](int thread) {
    const std::size_t begin = static_cast<std::size_t>(thread) * each;
    stream_copy(from.get() + begin, to.get() + begin, each);
  }));
}

std::vector<int> first_cpus(int threads) {
  std::vector<int> cpus = own_cpus();
  if (threads > 0 && static_cast<std::size_t>(threads) < cpus.size()) {
    cpus.resize(static_cast<std::size_t>(threads));
  }
  return cpus;
}

}  // namespace

std::vector<int> own_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

Peaks measure_peaks(int threads, bool tiles) {
  const std::vector<int> cpus = first_cpus(threads);
  Peaks peaks;
  const auto rates = [&](const Loop& loop, std::vector<double>& cores, double& all) {
    if (loop.run == nullptr) return;
    for (const int cpu : cpus) cores.push_back(flop_rate(loop, {cpu}));
    all = flop_rate(loop, cpus);
  };
  rates(f32_loop(), peaks.f32_core, peaks.f32);
  rates(bf16_loop(tiles), peaks.bf16_core, peaks.bf16);
  const Loop vectors = bf16_loop(false);
  if (tiles && vectors.run != nullptr) peaks.bf16_vectors = flop_rate(vectors, cpus);
  peaks.copy = copy_rate(cpus);
  if (const Loop loop = clock_loop(); loop.run != nullptr) {
    peaks.clock = flop_rate(loop, {cpus.front()});
  }
  return peaks;
}

double rate_now(DType dtype, int threads, bool tiles) {
  constexpr int kFewWindows = 9;
  constexpr std::int64_t kFewRounds = kRounds / 4;
  const Loop loop = dtype == DType::f32 ? f32_loop() : bf16_loop(tiles);
  if (loop.run == nullptr) return 0;
  // One thread has been wherever it is now.
  const std::vector<int> cpus = threads == 1 ? std::vector{sched_getcpu()} : first_cpus(threads);
  std::vector<double> rates = flop_rates(loop, cpus, kFewWindows, kFewRounds);
  std::nth_element(rates.begin(), rates.begin() + kFewWindows / 2, rates.end());
  return rates[kFewWindows / 2];
}

Peaks better(Peaks a, const Peaks& b) {
  for (std::size_t i = 0; i < a.f32_core.size(); ++i) {
    a.f32_core[i] = std::max(a.f32_core[i], b.f32_core[i]);
  }
  for (std::size_t i = 0; i < a.bf16_core.size(); ++i) {
    a.bf16_core[i] = std::max(a.bf16_core[i], b.bf16_core[i]);
  }
  a.f32 = std::max(a.f32, b.f32);
  a.bf16 = std::max(a.bf16, b.bf16);
  a.bf16_vectors = std::max(a.bf16_vectors, b.bf16_vectors);
  a.copy = std::max(a.copy, b.copy);
  a.clock = std::max(a.clock, b.clock);
  return a;
}

}  // namespace diffuse::bench
