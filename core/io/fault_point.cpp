#include "core/io/fault_point.hpp"

#include <unistd.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>

namespace diffuse {
void die_of_fault() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

bool fault_is_here(std::string_view point) {
  const char* text = std::getenv("DIFFUSE_BATCH_FAULT");
  if (text == nullptr) return false;
  const std::string_view wanted(text);
  if (!wanted.starts_with(point) || wanted.substr(point.size(), 1) != ":") return false;
  long turn = 0;
  std::from_chars(text + point.size() + 1, text + wanted.size(), turn);
  static std::atomic<long> turns{0};
  return ++turns == turn;
}

void fault_point(std::string_view point) {
  if (fault_is_here(point)) die_of_fault();
}

}  // namespace diffuse
