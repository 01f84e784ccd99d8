#include "apps/diffuse_batch/terminal.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>

namespace diffuse {
namespace {

constexpr int kUsualColumns = 80;

int columns_of(int descriptor) {
  if (isatty(descriptor) != 1) return 0;
  winsize size{};
  const bool told = ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return told ? size.ws_col : kUsualColumns;
}

}  // namespace

int stderr_columns() {
  if (const int own = columns_of(STDERR_FILENO); own > 0) return own;
  const std::string launchers = "/proc/" + std::to_string(getppid()) + "/fd/2";
  const int descriptor = open(launchers.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) return 0;
  const int columns = columns_of(descriptor);
  close(descriptor);
  return columns;
}

}  // namespace diffuse
