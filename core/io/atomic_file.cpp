#include "core/io/atomic_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kMostNameBytes = 160;  ///< of the final name inside the temporary one

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what, int error) {
  const bool only_this =
      error == EISDIR || error == ENAMETOOLONG || error == ENOTEMPTY || error == EEXIST;
  throw Error(only_this ? ExitCode::some_failed : ExitCode::storage,
              "'" + printable(path.string()) + "': " + what + ": " + std::strerror(error) +
                  (only_this ? "; clear the name"
                             : "; repair the storage, the same command "
                               "continues"));
}

void sync_folder_of(const std::filesystem::path& path) {
  std::filesystem::path folder = path.parent_path();
  if (folder.empty()) folder = ".";
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail(path, "cannot open its folder", errno);
  // Some file systems cannot sync a folder and say EINVAL: there is no more to be done then.
  const int error = ::fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno;
  ::close(descriptor);
  if (error != 0) fail(path, "cannot bring its folder to storage", error);
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  static std::atomic<std::uint64_t> number{0};
  const std::string name = path.filename().string().substr(0, kMostNameBytes);
  for (int attempt = 0; attempt < 1000 && descriptor_ < 0; ++attempt) {
    temporary_ = path.parent_path() /
                 (std::string(kTemporaryPrefix) + name + "." + std::to_string(::getpid()) + "." +
                  std::to_string(number++) + std::string(kTemporarySuffix));
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST && errno != EINTR) break;
  }
  if (descriptor_ < 0) fail(path_, "cannot create a temporary file beside it", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!renamed_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail(path_, "cannot be written", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void AtomicFile::write(std::string_view text) { write(bytes_of(text)); }

void AtomicFile::finish() {
  if (::fsync(descriptor_) != 0) fail(path_, "cannot be brought to storage", errno);
  // On Linux the descriptor is gone even if close reports an error: never close it twice.
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0) fail(path_, "cannot be closed", errno);
}

void AtomicFile::commit() {
  if (descriptor_ >= 0) finish();
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_, "cannot be named", errno);
  renamed_ = true;
  sync_folder_of(path_);
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  write_file_atomically(path, bytes_of(text));
}

}  // namespace diffuse
