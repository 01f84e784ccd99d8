#include "apps/diffuse_batch/stop.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>

namespace diffuse {
namespace {

constexpr std::array kEnding = {SIGTERM, SIGINT, SIGHUP};
constexpr std::int64_t kSameRequestNanoseconds = 200'000'000;

// All that a signal handler may touch: lock-free, never destroyed.
std::atomic<int> requested{0};
std::atomic<bool> in_order{false};
std::atomic<std::int64_t> first_ending_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

void raise_to(Stop stop) {
  const int wanted = static_cast<int>(stop);
  int now = requested.load();
  while (now < wanted && !requested.compare_exchange_weak(now, wanted)) {
  }
}

void on_drain_signal(int /*signal*/) { raise_to(Stop::after_batch); }

void on_ending_signal(int /*signal*/) {
  if (!in_order.load()) _exit(static_cast<int>(ExitCode::stopped));
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);  // safe in a handler (POSIX)
  const std::int64_t now = time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
  std::int64_t first = 0;
  if (first_ending_signal.compare_exchange_strong(first, now)) {
    raise_to(Stop::at_once);
  } else if (now - first > kSameRequestNanoseconds) {
    _exit(static_cast<int>(ExitCode::stopped));
  }
}

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  for (const int signal : kEnding) sigaddset(&signals, signal);
  return signals;
}

void take(int signal, void (*handler)(int)) {
  struct sigaction before {};
  sigaction(signal, nullptr, &before);
  if (signal != SIGTERM && signal != SIGUSR1 && before.sa_handler == SIG_IGN) return;
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

StoppedError::StoppedError()
    : Error(ExitCode::stopped, "stopped on request; the same command continues") {}

void hold_stop_signals() {
  const sigset_t signals = stop_signals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
}

void take_stop_signals() {
  take(SIGUSR1, on_drain_signal);
  for (const int signal : kEnding) take(signal, on_ending_signal);
  const sigset_t signals = stop_signals();
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
}

void stop_in_order() { in_order.store(true); }

Stop stop_requested() { return static_cast<Stop>(requested.load(std::memory_order_relaxed)); }

void request_stop(Stop stop) { raise_to(stop); }

void throw_if_stopped() {
  if (stop_requested() == Stop::at_once) throw StoppedError();
}

}  // namespace diffuse
