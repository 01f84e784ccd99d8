#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/output_folder.hpp"

namespace diffuse {
namespace {

constexpr int kAttempts = 20;
constexpr std::size_t kMaxContent = 4096;
constexpr std::chrono::seconds kHeartbeat{30};
constexpr std::int64_t kDeadAfter = 300;  // seconds without a heartbeat

/// Who holds a lock.
struct Holder {
  std::string host;
  pid_t process = 0;
  std::string started;  ///< clock ticks since boot: tells processes with one number apart
};

std::string this_host() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

/// Field 22 of /proc/<process>/stat; empty if there is no such process.
std::string start_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  std::getline(file, line);
  // The second field is the program's name in brackets and may hold spaces and brackets.
  const std::size_t end = line.rfind(')');
  if (end == std::string::npos) return "";
  std::istringstream fields(line.substr(end + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  return field;
}

bool alive(const Holder& holder) {
  if (::kill(holder.process, 0) != 0 && errno == ESRCH) return false;
  const std::string started = start_of(holder.process);
  return started.empty() || holder.started.empty() || started == holder.started;
}

std::string read_all(int descriptor) {
  std::string text(kMaxContent, '\0');
  const ssize_t got = ::pread(descriptor, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

/// Seconds since the file was touched, by the clock of the file system that both hosts see: that of
/// another host may go wrong. Nothing if it cannot be told.
std::optional<std::int64_t> age_of(const struct stat& lock, const std::filesystem::path& path) {
  const std::filesystem::path probe =
      path.parent_path() / (std::string(kTemporaryPrefix) + "now." + std::to_string(::getpid()) +
                            std::string(kTemporarySuffix));
  const int descriptor = ::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) return std::nullopt;
  struct stat now {};
  const bool known = ::fstat(descriptor, &now) == 0;
  ::close(descriptor);
  ::unlink(probe.c_str());
  if (!known) return std::nullopt;
  return now.st_mtim.tv_sec - lock.st_mtim.tv_sec;
}

[[noreturn]] void refuse_busy(const std::filesystem::path& path, const Holder& holder,
                              const std::string& advice) {
  throw InputError(ExitCode::busy_output,
                   "output folder '" + printable(path.parent_path().string()) +
                       "' is in use by another run (process " + std::to_string(holder.process) +
                       " on host '" + printable(holder.host) + "'), and two would spoil each " +
                       "other's pictures; " + advice);
}

[[noreturn]] void refuse_lock(const std::filesystem::path& path, const std::string& problem) {
  throw InputError(ExitCode::bad_output, "lock file '" + printable(path.string()) + "' " + problem +
                                             "; give another --output-dir");
}

}  // namespace

OutputFolderLock::OutputFolderLock(const std::filesystem::path& folder)
    : path_(folder / kLockName) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    try {
      if (try_lock()) {
        heart_ = std::thread([this] { beat(); });
        return;
      }
    } catch (...) {
      if (descriptor_ >= 0) ::close(descriptor_);
      throw;
    }
    ::close(descriptor_);
    descriptor_ = -1;
  }
  refuse_lock(path_, "changes hands all the time");
}

/// False if the file was removed by its former holder in the meantime.
bool OutputFolderLock::try_lock() {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (descriptor_ < 0) refuse_lock(path_, std::string("cannot be made: ") + std::strerror(errno));
  int result = 0;
  do {
    result = ::flock(descriptor_, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  const bool contended = result != 0 && errno == EWOULDBLOCK;
  struct stat opened {};
  struct stat named {};
  if (::fstat(descriptor_, &opened) != 0 || !S_ISREG(opened.st_mode)) {
    refuse_lock(path_, "is no regular file");
  }
  Holder holder;
  std::istringstream content(read_all(descriptor_));
  content >> holder.host >> holder.process >> holder.started;
  if (contended) refuse_busy(path_, holder, "wait for it, or take another output folder");
  if (::stat(path_.c_str(), &named) != 0 || named.st_ino != opened.st_ino) return false;
  if (!holder.host.empty()) {
    const bool elsewhere = holder.host != this_host();
    if (elsewhere && age_of(named, path_).value_or(0) < kDeadAfter) {
      refuse_busy(path_, holder,
                  "wait for it; if that run is dead, this command takes over " +
                      std::to_string(kDeadAfter / 60) + " minutes after its last sign of life");
    }
    // Without flock (result != 0), the process itself has to be looked for.
    if (!elsewhere && result != 0 && alive(holder)) {
      refuse_busy(path_, holder, "wait for it, or take another output folder");
    }
    taken_over_ = true;
  }
  own_ = this_host() + " " + std::to_string(::getpid()) + " " + start_of(::getpid()) + "\n";
  if (::ftruncate(descriptor_, 0) != 0 ||
      ::pwrite(descriptor_, own_.data(), own_.size(), 0) != static_cast<ssize_t>(own_.size())) {
    refuse_lock(path_, std::string("cannot be written: ") + std::strerror(errno));
  }
  return true;
}

void OutputFolderLock::beat() {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, kHeartbeat, [this] { return ending_; })) {
    ::futimens(descriptor_, nullptr);
  }
}

OutputFolderLock::~OutputFolderLock() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  stop_.notify_all();
  heart_.join();
  // Removed before the flock goes, so that nobody can lock a file that is about to vanish; unless
  // another host took this run for dead.
  if (read_all(descriptor_) == own_) ::unlink(path_.c_str());
  ::close(descriptor_);
}

}  // namespace diffuse
