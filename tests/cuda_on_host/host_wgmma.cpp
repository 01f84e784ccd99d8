#include "tests/cuda_on_host/host_cuda.hpp"

namespace host_cuda {
namespace {

// PTX ISA, "Matrix Descriptor Format".
struct Descriptor {
  unsigned address, leading, stride;
  unsigned chunks;  ///< of 16 bytes in a row of the swizzle atom: 1 without a swizzle, 2, 4 or 8
};

Descriptor decode(std::uint64_t bits) {
  constexpr std::uint64_t kUsed = 0xC000'3FFF'3FFF'3FFFULL;  // base offset 0
  if ((bits & ~kUsed) != 0)
    throw std::runtime_error("wgmma: bits in a descriptor that mean nothing");
  const auto field = [&](unsigned at) { return static_cast<unsigned>(bits >> at & 0x3FFFU) * 16; };
  constexpr unsigned kChunks[] = {1, 8, 4, 2};
  return {field(0), field(16), field(32), kChunks[bits >> 62U]};
}

// PTX ISA, "Shared Memory Matrix Layout" and "Strides". K-major: chunks hold 8 k of a column, atoms
// 8 columns. MN-major: chunks hold 8 columns of a k, atoms 8 k.
unsigned offset_of(const Descriptor& d, bool transposed, unsigned k, unsigned column) {
  if (!transposed) {
    const unsigned to_next_chunk = d.chunks == 1 ? d.leading : 16;
    return column % 8 * (16 * d.chunks) + column / 8 * d.stride + k / 8 * to_next_chunk + k % 8 * 2;
  }
  if (d.chunks == 1) {
    return column % 8 * 2 + column / 8 * d.stride + k % 8 * 16 + k / 8 * d.leading;
  }
  const unsigned columns = 8 * d.chunks;
  return column % columns * 2 + column / columns * d.leading + k % 8 * (16 * d.chunks) +
         k / 8 * d.stride;
}

std::shared_ptr<const WgmmaB> read_b(std::uint64_t descriptor, int columns, bool transposed,
                                     HalfToFloat to_float) {
  WgmmaView& view = state().wgmma_view;
  std::shared_ptr<const WgmmaB>& known = view.known[{descriptor, columns, transposed}];
  if (known) return known;
  const Descriptor d = decode(descriptor);
  auto b = std::make_shared<WgmmaB>();
  for (int i = 0; i < 16 * columns; ++i) {
    unsigned address = d.address + offset_of(d, transposed, static_cast<unsigned>(i % 16),
                                             static_cast<unsigned>(i / 16));
    address ^= (address >> 7U & (d.chunks - 1)) << 4U;  // the swizzle
    if (address < kSharedBase || address - kSharedBase + 2 > view.bytes.size()) {
      throw std::runtime_error("wgmma: a descriptor that points beyond shared memory");
    }
    std::uint16_t bits = 0;
    std::memcpy(&bits, view.bytes.data() + (address - kSharedBase), 2);
    b->bits.push_back(bits);
    b->values.push_back(to_float(bits));
  }
  known = b;
  return known;
}

constexpr std::uint32_t kPoison = 0xFFFFFFFFU;

void poison(float* registers, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) std::memcpy(registers + i, &kPoison, 4);
}

void finish(Wgmma& wgmma, const WgmmaOperands& product) {
  if (!std::equal(product.a_was, product.a_was + 4, product.a)) {
    throw std::runtime_error("wgmma: registers of A were written to while it was under way");
  }
  const auto b = read_b(product.descriptor, product.columns, product.transposed, product.to_float);
  if (b->bits != product.b_was->bits) {
    throw std::runtime_error("wgmma: shared memory was written to while it was under way");
  }
  for (auto s = wgmma.sums.begin(); s != wgmma.sums.end(); ++s) {
    if (s->accumulators != product.accumulators || --s->products > 0) continue;
    for (std::size_t i = 0; i < s->sums.size(); ++i) {
      if (std::memcmp(s->accumulators + i, &kPoison, 4) != 0) {
        throw std::runtime_error("wgmma: accumulators were written to while it was under way");
      }
      s->accumulators[i] = s->sums[i];
    }
    wgmma.sums.erase(s);
    return;
  }
}

}  // namespace

unsigned shared_address(const void* at) {
  State& s = state();
  const auto* base = reinterpret_cast<const unsigned char*>(s.dynamic_shared.data());
  const std::ptrdiff_t offset = static_cast<const unsigned char*>(at) - base;
  if (offset < 0 || static_cast<std::size_t>(offset) > s.dynamic_shared.size() * sizeof(Aligned)) {
    throw std::runtime_error("an address that is not of shared memory");
  }
  return kSharedBase + static_cast<unsigned>(offset);
}

void start_wgmma(float* accumulators, int columns, const unsigned (&a)[4], std::uint64_t descriptor,
                 bool transposed, bool accumulate, HalfToFloat to_float) {
  Wgmma& wgmma = state().current->wgmma;
  if (!wgmma.fenced)
    throw std::runtime_error("wgmma: no wgmma.fence since registers were waited for");
  const auto pair = [](unsigned low, unsigned high) {
    return low | static_cast<std::uint64_t>(high) << 32U;
  };
  const auto* all = exchange(pair(a[0], a[1]), pair(a[2], a[3]), descriptor);
  const int l = static_cast<int>(lane());
  for (int other = 0; other < 32; ++other) {
    if (all[other][2] != descriptor)
      throw std::runtime_error("wgmma: lanes disagree on the descriptor");
  }
  if (state().current->linear % 128 == 0) ++state().wgmma;

  const auto count = static_cast<std::size_t>(columns) / 2;
  auto sums = std::find_if(wgmma.sums.begin(), wgmma.sums.end(),
                           [&](const WgmmaSums& s) { return s.accumulators == accumulators; });
  if (sums == wgmma.sums.end()) {
    wgmma.sums.push_back({accumulators, {accumulators, accumulators + count}, 0});
    sums = wgmma.sums.end() - 1;
    poison(accumulators, count);
  }
  ++sums->products;
  auto b = read_b(descriptor, columns, transposed, to_float);
  // Registers 0 and 1 are rows l/4 and l/4 + 8, 2 and 3 the same of the next 8 k.
  float rows[2][16];
  for (int i = 0; i < 32; ++i) {
    const int half = i / 16, k = i % 16;
    const auto word = all[l / 4 * 4 + k % 8 / 2][k / 8] >> (32 * half);
    rows[half][k] = to_float(static_cast<std::uint16_t>(word >> (16 * (k % 2))));
  }
  for (int i = 0; i < static_cast<int>(count); ++i) {
    const float* row = rows[i / 2 % 2];
    const float* column = b->values.data() + 16 * (i / 4 * 8 + 2 * (l % 4) + i % 2);
    float sum = 0;
    for (int k = 0; k < 16; ++k) sum += row[k] * column[k];
    float& to = sums->sums[static_cast<std::size_t>(i)];
    to = accumulate ? to + sum : sum;
  }
  wgmma.groups.back().push_back({a,
                                 {a[0], a[1], a[2], a[3]},
                                 descriptor,
                                 columns,
                                 transposed,
                                 to_float,
                                 std::move(b),
                                 accumulators});
}

void fence_wgmma() { state().current->wgmma.fenced = true; }

void commit_wgmma() { state().current->wgmma.groups.emplace_back(); }

void wait_wgmma(int pending) {
  Wgmma& wgmma = state().current->wgmma;
  while (wgmma.groups.size() > static_cast<std::size_t>(pending) + 1) {
    for (const WgmmaOperands& product : wgmma.groups.front()) finish(wgmma, product);
    wgmma.groups.erase(wgmma.groups.begin());
  }
  wgmma.fenced = false;
}

void fence_shared() {
  const State& s = state();
  WgmmaView& view = state().wgmma_view;
  const auto* bytes = reinterpret_cast<const unsigned char*>(s.dynamic_shared.data());
  if (std::memcmp(view.bytes.data(), bytes, view.bytes.size()) == 0) return;
  std::memcpy(view.bytes.data(), bytes, view.bytes.size());
  view.known.clear();
}

void spoil_for_wgmma(const void* to, std::size_t bytes) {
  WgmmaView& view = state().wgmma_view;
  std::memset(view.bytes.data() + (shared_address(to) - kSharedBase), 0xFF, bytes);
  view.known.clear();
}

void check_wgmma_ended() {
  for (const auto& group : state().current->wgmma.groups) {
    if (!group.empty()) throw std::runtime_error("wgmma: a thread ended before its products");
  }
}

}  // namespace host_cuda
