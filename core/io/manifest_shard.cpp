#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/fault_point.hpp"
#include "core/io/manifest.hpp"

namespace diffuse {
namespace {

constexpr int kAttempts = 100;

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what, int error) {
  throw Error(ExitCode::storage, "manifest shard '" + printable(path.string()) + "' " + what +
                                     ": " + std::strerror(error) +
                                     "; repair the storage, the same command continues");
}

/// Unlike any other on this file system: later ones sort behind earlier ones, processes apart.
std::string shard_name(int rank, int attempt) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {"unknown"};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(now).count()) + "." +
         std::string(host.data()).substr(0, 64) + "." + std::to_string(::getpid()) + "." +
         std::to_string(attempt) + "." + std::to_string(rank) + ".jsonl";
}

}  // namespace

ManifestShard::ManifestShard(std::filesystem::path output_folder, int rank)
    : output_folder_(std::move(output_folder)), rank_(rank) {}

ManifestShard::~ManifestShard() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void ManifestShard::open() {
  const std::filesystem::path folder = output_folder_ / kShardFolderName;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) {
      fail(folder, "cannot be created", errno);
    }
    path_ = folder / shard_name(rank_, attempt);
    descriptor_ = ::open(path_.c_str(),
                         O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ >= 0) return;
    if (errno != EEXIST && errno != EINTR && errno != ENOENT) break;
  }
  fail(path_, "cannot be created", errno);
}

void ManifestShard::append(const ManifestRecord& record) {
  fault_point("before-record");
  if (descriptor_ < 0) open();
  const std::string line = manifest_line(record) + "\n";
  if (fault_is_here("inside-record")) {
    if (::write(descriptor_, line.data(), line.size() / 2) >= 0) die_of_fault();
  }
  const off_t before = ::lseek(descriptor_, 0, SEEK_END);
  ssize_t put = 0;
  do {
    put = ::write(descriptor_, line.data(), line.size());
  } while (put < 0 && errno == EINTR);
  if (put != static_cast<ssize_t>(line.size())) {
    // A short write is a full disk that says so only at the next one.
    const int error = put < 0 ? errno : ENOSPC;
    if (put > 0 && before >= 0 && ::ftruncate(descriptor_, before) != 0) {
      ::close(descriptor_);  // a torn line stays behind: it has to be the last
      descriptor_ = -1;
    }
    fail(path_, "cannot be written", error);
  }
  unsynced_ = true;
  fault_point("after-record");
}

void ManifestShard::sync() {
  if (!unsynced_) return;
  unsynced_ = false;
  if (::fdatasync(descriptor_) != 0 && errno != EINVAL && errno != ENOTSUP) {
    fail(path_, "cannot be brought to storage", errno);
  }
}

}  // namespace diffuse
