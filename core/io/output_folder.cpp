#include "core/io/output_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/atomic_file.hpp"

namespace diffuse {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& folder, const std::string& problem) {
  throw InputError(ExitCode::bad_output, "output folder '" + printable(folder.string()) + "' " +
                                             problem + "; give another --output-dir");
}

/// Names of what is directly inside the folder.
std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error);
  const std::filesystem::directory_iterator end;
  while (!error && at != end) {
    names.push_back(at->path().filename().string());
    at.increment(error);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    refuse(folder, "cannot be listed: " + error.message());
  }
  return names;
}

}  // namespace

void prepare_output_folder(const std::filesystem::path& folder) {
  if (folder.empty()) refuse(folder, "has no name");
  if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) {
    const int error = errno;
    struct stat status {};
    // A file system that is read-only says so before it says that the folder is there.
    if (::stat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
      refuse(folder,
             std::string("cannot be created: ") +
                 (error == ENOENT ? "the folder above it is missing" : std::strerror(error)));
    }
  }
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) {
    refuse(folder, errno == ENOENT ? "is a link that leads nowhere"
                                   : std::string("cannot be reached: ") + std::strerror(errno));
  }
  if (!S_ISDIR(status.st_mode)) refuse(folder, "is no folder");
  const std::filesystem::path probe =
      folder / (std::string(kTemporaryPrefix) + "probe." + std::to_string(::getpid()) +
                std::string(kTemporarySuffix));
  try {
    write_file_atomically(probe, "probe");
  } catch (const Error& error) {
    refuse(folder, std::string("cannot be written to: ") + error.what());
  }
  // On a shared folder, another host may have removed a probe of the same name.
  if (::unlink(probe.c_str()) != 0 && errno != ENOENT) {
    refuse(folder, std::string("does not let files be removed: ") + std::strerror(errno));
  }
}

void make_folder_of(const std::filesystem::path& folder, const std::string& file_name) {
  const std::size_t slash = file_name.find('/');
  if (slash == std::string::npos) return;
  const std::filesystem::path inner = folder / file_name.substr(0, slash);
  if (::mkdir(inner.c_str(), 0777) == 0 || errno == EEXIST) return;
  throw Error(ExitCode::storage, "'" + printable(inner.string()) +
                                     "': cannot be created: " + std::strerror(errno) +
                                     "; repair the storage, the same command continues");
}

std::size_t sweep_temporaries(const std::filesystem::path& folder) {
  std::size_t removed = 0;
  for (const std::string& name : names_in(folder)) {
    // Folders of pictures (--shard-size) are named by numbers.
    if (name.find_first_not_of("0123456789") == std::string::npos) {
      std::error_code ignored;
      if (std::filesystem::is_directory(folder / name, ignored)) {
        removed += sweep_temporaries(folder / name);
      }
      continue;
    }
    if (name.starts_with(kTemporaryPrefix) && name.ends_with(kTemporarySuffix)) {
      // One that cannot be removed does no harm: it never becomes a picture.
      if (::unlink((folder / name).c_str()) == 0) ++removed;
    }
  }
  return removed;
}

}  // namespace diffuse
