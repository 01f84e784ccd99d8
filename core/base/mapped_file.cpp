#include "core/base/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/base/text.hpp"

namespace diffuse {
namespace {

/// A file descriptor, closed at the end of its scope.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  [[nodiscard]] int get() const { return number_; }

 private:
  int number_;
};

std::string system_reason() { return std::generic_category().message(errno); }

extern "C" void report_bus_error(int) {
  // Only write and _exit: nothing else is allowed in a signal handler.
  constexpr std::string_view kMessage =
      "diffuse-batch: error[20]: a mapped file can no longer be read: the model file became "
      "shorter "
      "or its storage failed (or /dev/shm is full); the same command continues\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kMessage.data(), kMessage.size());
  ::_exit(static_cast<int>(ExitCode::storage));
}

}  // namespace

void refuse_file(const std::filesystem::path& path, const std::string& problem, ExitCode code) {
  throw InputError(code, "'" + printable(path.string(), 1000) + "': " + problem);
}

MappedFile MappedFile::open(const std::filesystem::path& path, ExitCode code) {
  // Not blocking: a FIFO in the place of a file must not hang the program.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    refuse_file(path, "cannot be opened (" + system_reason() + ")", code);
  }
  if (!S_ISREG(status.st_mode)) {
    refuse_file(path, S_ISDIR(status.st_mode) ? "is a folder, not a file" : "is no regular file",
                code);
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return MappedFile({});
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) {
    refuse_file(path, "cannot be mapped into memory (" + system_reason() + ")", code);
  }
  return MappedFile({static_cast<const std::byte*>(address), size});
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::drop_pages(std::span<const std::byte> part) const {
  if (part.empty()) return;
  // Whole pages: neighbours that share the first or last one are merely read again.
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t into_page = reinterpret_cast<std::uintptr_t>(part.data()) % page;
  auto* begin = const_cast<std::byte*>(part.data()) - into_page;
  // Only advice: if the system does not follow it, nothing but memory is lost.
  [[maybe_unused]] const int result = ::madvise(begin, into_page + part.size(), MADV_DONTNEED);
}

void exit_on_bus_error() {
  struct sigaction action {};
  action.sa_handler = report_bus_error;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace diffuse
