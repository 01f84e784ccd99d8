#include "core/io/output_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <unordered_set>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/picture_metadata.hpp"
#include "core/io/png_check.hpp"

namespace diffuse {
namespace {

constexpr std::size_t kTold = 20;
constexpr std::size_t kMaxName = 255;

[[noreturn]] void refuse(const std::filesystem::path& folder, const std::string& problem) {
  throw InputError(ExitCode::bad_output, "output folder '" + printable(folder.string()) + "' " +
                                             problem + "; give another --output-dir");
}

/// Names of the files directly inside the folder: one listing instead of a look at each name, which
/// network file systems are slow at.
std::unordered_set<std::string> names_in(const std::filesystem::path& folder) {
  std::unordered_set<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error);
  const std::filesystem::directory_iterator end;
  while (!error && at != end) {
    names.insert(at->path().filename().string());
    at.increment(error);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    refuse(folder, "cannot be listed: " + error.message());
  }
  return names;
}

void sort_in(const std::filesystem::path& path, const ExpectedPicture& picture,
             std::size_t position, FolderState& state) {
  const PngCheck check = check_png(path);
  switch (check.status) {
    case PngStatus::missing:
      state.missing.push_back(position);
      return;
    case PngStatus::torn:
      state.torn.push_back(position);
      return;
    case PngStatus::foreign:
    case PngStatus::not_a_file:
      state.conflicts.push_back({position, check.problem});
      return;
    case PngStatus::whole:
      break;
  }
  const auto recorded = recorded_job(check.texts);
  if (recorded && recorded->hash == picture.job_hash) {
    state.whole.push_back(position);
  } else {
    state.conflicts.push_back(
        {position, recorded ? "is a picture of another job" : "is a picture of another program"});
  }
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

std::size_t sweep_temporaries(const std::filesystem::path& folder) {
  std::size_t removed = 0;
  for (const std::string& name : names_in(folder)) {
    if (name.starts_with(kTemporaryPrefix) && name.ends_with(kTemporarySuffix)) {
      // One that cannot be removed does no harm: it never becomes a picture.
      if (::unlink((folder / name).c_str()) == 0) ++removed;
    }
  }
  return removed;
}

FolderState inspect_folder(const std::filesystem::path& folder,
                           std::span<const ExpectedPicture> pictures) {
  FolderState state;
  const std::unordered_set<std::string> names = names_in(folder);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const std::filesystem::path name = pictures[i].file_name;
    if (name.filename().string().size() > kMaxName) {
      refuse(folder, "cannot hold '" + printable(pictures[i].file_name, 40) +
                         "': the name has more than " + std::to_string(kMaxName) + " bytes");
    }
    if (!name.has_parent_path() && names.count(pictures[i].file_name) == 0) {
      state.missing.push_back(i);
    } else {
      sort_in(folder / name, pictures[i], i, state);
    }
  }
  return state;
}

void refuse_conflicts(const std::filesystem::path& folder, const FolderState& state,
                      std::span<const ExpectedPicture> pictures) {
  if (state.conflicts.empty()) return;
  std::string told;
  for (std::size_t i = 0; i < state.conflicts.size() && i < kTold; ++i) {
    const ExpectedPicture& picture = pictures[state.conflicts[i].position];
    told += (i == 0 ? "" : "; ") + ("line " + std::to_string(picture.line)) + ": '" +
            printable(picture.file_name) + "' " + state.conflicts[i].reason;
  }
  if (state.conflicts.size() > kTold) {
    told += "; and " + std::to_string(state.conflicts.size() - kTold) + " more";
  }
  throw InputError(ExitCode::busy_output,
                   "output folder '" + printable(folder.string()) +
                       "' holds files that this list would replace, so nothing is rendered: " +
                       told + "; take another output folder, the list of that run, or --overwrite");
}

}  // namespace diffuse
