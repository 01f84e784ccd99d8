#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/hashing.hpp"
#include "core/base/text.hpp"
#include "core/io/output_folder.hpp"
#include "core/io/picture_metadata.hpp"
#include "core/io/png_check.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kMaxName = 255;

[[noreturn]] void fail(const std::filesystem::path& path, int error) {
  throw Error(ExitCode::storage, "'" + printable(path.string()) +
                                     "' cannot be read: " + std::strerror(error) +
                                     "; it is not known whether the picture is whole");
}

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::string sha256_of_file(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail(path, errno);
  Sha256 hash;
  std::array<char, std::size_t{1} << 16> buffer{};
  for (;;) {
    const ssize_t got = ::read(descriptor, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int error = errno;
      ::close(descriptor);
      fail(path, error);
    }
    if (got == 0) break;
    hash.update(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
  }
  ::close(descriptor);
  return hash.hex();
}

/// What the file itself tells.
FileFinding read_picture(const std::filesystem::path& path, const std::string& job_hash) {
  const PngCheck check = check_png(path);
  switch (check.status) {
    case PngStatus::missing:
      return {};
    case PngStatus::torn:
      return {.state = FileState::torn, .reason = check.problem, .sha256 = {}};
    case PngStatus::foreign:
    case PngStatus::not_a_file:
      return {.state = FileState::conflict, .reason = check.problem, .sha256 = {}};
    case PngStatus::whole:
      break;
  }
  const auto recorded = recorded_job(check.texts);
  if (!recorded || recorded->hash != job_hash) {
    return {.state = FileState::conflict,
            .reason = recorded ? "is a picture of another job" : "is a picture of another program",
            .sha256 = {}};
  }
  FileFinding finding = describe_file(path);
  finding.state = FileState::adopted;
  return finding;
}

}  // namespace

FileFinding describe_file(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail(path, errno);
  FileFinding finding;
  finding.bytes = static_cast<std::uint64_t>(status.st_size);
  finding.modified = nanoseconds(status.st_mtim);
  finding.sha256 = sha256_of_file(path);
  return finding;
}

bool FolderView::has(const std::string& file_name) {
  const std::size_t slash = file_name.rfind('/');
  const std::string inside = slash == std::string::npos ? "" : file_name.substr(0, slash);
  const auto [names, is_new] = listed_.try_emplace(inside);
  if (is_new) {
    std::error_code error;
    std::filesystem::directory_iterator at(folder_ / inside, error);
    const std::filesystem::directory_iterator end;
    while (!error && at != end) {
      names->second.insert(at->path().filename().string());
      at.increment(error);
    }
    if (error && error != std::errc::no_such_file_or_directory &&
        error != std::errc::not_a_directory) {
      fail(folder_ / inside, error.value());
    }
  }
  return names->second.count(slash == std::string::npos ? file_name
                                                        : file_name.substr(slash + 1)) != 0;
}

bool FolderView::as_recorded(const std::string& file_name, const ManifestHead& record) {
  if (record.status != RecordStatus::ok || record.path != file_name || !has(file_name)) {
    return false;
  }
  struct stat status {};
  return ::lstat((folder_ / file_name).c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         static_cast<std::uint64_t>(status.st_size) == record.bytes &&
         nanoseconds(status.st_mtim) == record.modified;
}

FileFinding FolderView::look(const std::string& file_name, const std::string& job_hash,
                             const std::optional<ManifestHead>& record) {
  const std::string last = file_name.substr(file_name.rfind('/') + 1);
  if (last.size() > kMaxName) {
    throw InputError(ExitCode::bad_output,
                     "output folder '" + printable(folder_.string()) + "' cannot hold '" +
                         printable(last, 40) + "': the name has more than " +
                         std::to_string(kMaxName) + " bytes; give another name");
  }
  if (!has(file_name)) return {};
  const bool recorded = record && record->job_hash == job_hash;
  if (recorded && as_recorded(file_name, *record)) {
    return {.state = FileState::whole,
            .reason = {},
            .bytes = record->bytes,
            .modified = record->modified,
            .sha256 = record->sha256};
  }
  FileFinding finding = read_picture(folder_ / file_name, job_hash);
  if (finding.state == FileState::adopted && recorded && record->status == RecordStatus::ok &&
      record->sha256 != finding.sha256) {
    finding.state = FileState::rewritten;
  }
  return finding;
}

void refuse_conflicts(const std::filesystem::path& folder, const std::vector<FolderConflict>& first,
                      std::size_t count) {
  std::string told;
  for (const FolderConflict& conflict : first) {
    told += (told.empty() ? "" : "; ") + ("line " + std::to_string(conflict.line)) + ": '" +
            printable(conflict.file_name) + "' " + conflict.reason;
  }
  if (count > first.size()) told += "; and " + std::to_string(count - first.size()) + " more";
  throw InputError(ExitCode::busy_output,
                   "output folder '" + printable(folder.string()) +
                       "' holds files that this list would replace, so nothing is rendered: " +
                       told + "; take another output folder, the list of that run, or --overwrite");
}

}  // namespace diffuse
