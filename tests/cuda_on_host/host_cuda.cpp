#include "tests/cuda_on_host/host_cuda.hpp"

#include <utility>

namespace host_cuda {
namespace {

void yield() {
  State& s = state();
  swapcontext(&s.current->context, &s.scheduler);
}

// A stack of its own is not unwound further than this: an error goes on in the scheduler.
void start_fiber() {
  try {
    state().body();
    check_wgmma_ended();
  } catch (...) {
    state().error = std::current_exception();
  }
  state().current->done = true;
}

void prepare_fibers(unsigned count) {
  State& s = state();
  while (s.fibers.size() < count) s.fibers.push_back(std::make_unique<Fiber>());
  const dim3 size = s.block_dim;
  for (unsigned i = 0; i < count; ++i) {
    Fiber& f = *s.fibers[i];
    f.thread = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
    f.linear = i;
    f.done = f.at_barrier = f.at_exchange = false;
    f.groups.assign(1, {});
    f.wgmma = {};
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.data();
    f.context.uc_stack.ss_size = f.stack.size();
    f.context.uc_link = &s.scheduler;
    makecontext(&f.context, start_fiber, 0);
  }
}

bool run_ready(const std::vector<unsigned>& order) {
  State& s = state();
  bool ran = false;
  for (const unsigned i : order) {
    Fiber& f = *s.fibers[i];
    if (f.done || f.at_barrier || f.at_exchange) continue;
    s.current = &f;
    swapcontext(&s.scheduler, &f.context);
    if (s.error) std::rethrow_exception(std::exchange(s.error, nullptr));
    ran = true;
  }
  return ran;
}

// Lets one warp go on whose live lanes all wait for an exchange: the first, the last or any, by the
// schedule. So it runs ahead of the others as far as barriers let it.
bool complete_exchange(unsigned count) {
  State& s = state();
  const auto warps = static_cast<unsigned>(s.warps.size());
  const unsigned start =
      s.schedule == Schedule::shuffled ? static_cast<unsigned>(s.random()) % warps : 0;
  for (unsigned i = 0; i < warps; ++i) {
    const unsigned w = s.schedule == Schedule::reverse ? warps - 1 - i : (start + i) % warps;
    const unsigned end = std::min(count, 32 * w + 32);
    unsigned live = 0, waiting = 0;
    for (unsigned k = 32 * w; k < end; ++k) {
      live += s.fibers[k]->done ? 0 : 1;
      waiting += s.fibers[k]->at_exchange ? 1 : 0;
    }
    if (waiting == 0) continue;
    if (waiting != live) throw std::runtime_error("warp exchange among diverged lanes");
    s.warps[w].phase ^= 1;
    for (unsigned k = 32 * w; k < end; ++k) s.fibers[k]->at_exchange = false;
    return true;
  }
  return false;
}

// False when every thread has ended.
bool complete_barrier(unsigned count) {
  State& s = state();
  unsigned live = 0, waiting = 0;
  for (unsigned i = 0; i < count; ++i) {
    live += s.fibers[i]->done ? 0 : 1;
    waiting += s.fibers[i]->at_barrier ? 1 : 0;
  }
  if (live == 0) return false;
  if (waiting != count) throw std::runtime_error("a barrier that not every thread reaches");
  for (unsigned i = 0; i < count; ++i) s.fibers[i]->at_barrier = false;
  return true;
}

}  // namespace

State& state() {
  static thread_local State s;
  return s;
}

void block_barrier() {
  state().current->at_barrier = true;
  yield();
}

const std::uint64_t (*exchange_words(const std::uint64_t* words, std::size_t count))[4] {
  State& s = state();
  Warp& w = s.warps[s.current->linear / 32];
  const int phase = w.phase;
  for (std::size_t i = 0; i < count; ++i) w.slot[phase][lane()][i] = words[i];
  s.current->at_exchange = true;
  yield();
  return w.slot[phase];
}

void run_block() {
  State& s = state();
  ++s.blocks;
  if (!s.dynamic_shared.empty()) {
    std::memset(s.dynamic_shared.data(), 0xFF, s.dynamic_shared.size() * sizeof(Aligned));
  }
  s.wgmma_view.bytes.assign(s.dynamic_shared.size() * sizeof(Aligned), 0xFF);
  s.wgmma_view.known.clear();
  const unsigned count = s.block_dim.x * s.block_dim.y * s.block_dim.z;
  s.warps.assign((count + 31) / 32, {});
  prepare_fibers(count);
  std::vector<unsigned> order(count);
  for (unsigned i = 0; i < count; ++i) {
    order[i] = s.schedule == Schedule::reverse ? count - 1 - i : i;
  }
  for (;;) {
    if (s.schedule == Schedule::shuffled) std::shuffle(order.begin(), order.end(), s.random);
    if (run_ready(order)) continue;
    if (complete_exchange(count)) continue;
    if (!complete_barrier(count)) return;
  }
}

void copy_async(void* to, const void* from, bool inside) {
  if ((reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from)) % 16 != 0) {
    throw std::runtime_error("cp.async: misaligned address");
  }
  std::memset(to, 0xFF, 16);  // undefined while the copy is under way
  spoil_for_wgmma(to, 16);
  state().current->groups.back().push_back({to, inside ? from : nullptr});
}

void commit_copies() { state().current->groups.emplace_back(); }

void wait_copies(int pending) {
  auto& groups = state().current->groups;
  while (groups.size() > static_cast<std::size_t>(pending) + 1) {
    for (const PendingCopy& copy : groups.front()) {
      if (copy.from != nullptr) {
        std::memcpy(copy.to, copy.from, 16);
      } else {
        std::memset(copy.to, 0, 16);
      }
    }
    groups.erase(groups.begin());
  }
}

}  // namespace host_cuda
