#include "core/tensor/program.hpp"

#include <algorithm>
#include <unordered_map>

#include "core/base/error.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kAlignment = 128;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Ranges of a run: what is still open when it ends early is closed.
class OpenRanges {
 public:
  explicit OpenRanges(Backend& backend) : backend_(backend) {}
  OpenRanges(const OpenRanges&) = delete;
  OpenRanges& operator=(const OpenRanges&) = delete;
  ~OpenRanges() {
    while (open_ > 0) end();
  }
  void begin(const std::string& name) {
    backend_.begin_range(name);
    ++open_;
  }
  void end() {
    backend_.end_range();
    --open_;
  }

 private:
  Backend& backend_;
  int open_ = 0;
};

}  // namespace

std::byte* Arena::reserve(std::size_t bytes) {
  if (bytes > bytes_ || memory_ == nullptr) {
    memory_.reset();
    memory_ = backend_.allocate(bytes);
    bytes_ = bytes;
  }
  return static_cast<std::byte*>(memory_.get());
}

Program Program::record(Ops& ops, const std::function<void()>& body) {
  if (ops.recording_ != nullptr) throw ShapeError("a recording cannot hold another recording");
  Program program;
  ops.recording_ = &program;
  try {
    body();
  } catch (...) {
    ops.recording_ = nullptr;
    throw;
  }
  ops.recording_ = nullptr;
  program.plan();
  return program;
}

void Program::plan() {
  // Lifetimes: from the first op that touches a planned storage to the last one.
  std::unordered_map<const Storage*, std::size_t> known;
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    for_each_tensor(ops_[i], [&](const Tensor& tensor, Access) {
      if (!tensor.storage()->planned) return;
      const auto [at, is_new] = known.try_emplace(tensor.storage().get(), slots_.size());
      if (is_new) slots_.push_back({tensor.storage(), i, i, 0});
      slots_[at->second].last = i;
    });
  }

  // Place the largest first, each at the lowest offset that is free during its whole life.
  std::vector<std::size_t> order(slots_.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return slots_[a].storage->bytes > slots_[b].storage->bytes;
  });
  std::vector<std::size_t> placed;
  for (const std::size_t me : order) {
    std::vector<std::pair<std::size_t, std::size_t>> taken;  // [begin, end) of neighbours in time
    for (const std::size_t other : placed) {
      if (slots_[other].last < slots_[me].first || slots_[me].last < slots_[other].first) continue;
      taken.emplace_back(slots_[other].offset,
                         slots_[other].offset + aligned(slots_[other].storage->bytes));
    }
    std::sort(taken.begin(), taken.end());
    const std::size_t size = aligned(slots_[me].storage->bytes);
    std::size_t offset = 0;
    for (const auto& [begin, end] : taken) {
      if (offset + size <= begin) break;
      offset = std::max(offset, end);
    }
    slots_[me].offset = offset;
    arena_bytes_ = std::max(arena_bytes_, offset + size);
    placed.push_back(me);
  }

  std::vector<std::size_t> alive(ops_.size() + 1, 0);
  for (const Slot& slot : slots_) {
    for (std::size_t i = slot.first; i <= slot.last; ++i) alive[i] += aligned(slot.storage->bytes);
  }
  live_bytes_ = *std::max_element(alive.begin(), alive.end());
}

void Program::bind(const Backend& backend, std::byte* base) {
  if (base == bound_ && &backend == backend_) return;
  kept_.reset();
  for (const Slot& slot : slots_) slot.storage->data = base + slot.offset;
  bound_ = base;
  backend_ = &backend;
}

bool Program::run(Backend& backend, Arena& arena, const std::function<bool(std::size_t)>& between) {
  if (between && !ops_.empty() && !between(0)) return false;
  bind(backend, arena.reserve(arena_bytes_));
  return backend.replay(kept_, [&] {
    OpenRanges ranges(backend);
    auto mark = marks_.begin();
    for (std::size_t i = 0; i < ops_.size(); ++i) {
      if (i > 0 && between && !between(i)) return false;
      for (; mark != marks_.end() && mark->before <= i; ++mark) {
        mark->name.empty() ? ranges.end() : ranges.begin(mark->name);
      }
      backend.execute(ops_[i]);
    }
    return true;
  });
}

}  // namespace diffuse
