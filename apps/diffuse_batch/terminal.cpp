#include "apps/diffuse_batch/terminal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <string>

namespace diffuse {

bool stderr_is_terminal() {
  if (isatty(STDERR_FILENO) == 1) return true;
  const std::string launchers = "/proc/" + std::to_string(getppid()) + "/fd/2";
  const int descriptor = open(launchers.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool terminal = isatty(descriptor) == 1;
  close(descriptor);
  return terminal;
}

}  // namespace diffuse
