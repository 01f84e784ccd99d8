#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/io/manifest_record.hpp"

namespace diffuse {

/// Creates the folder (one level) if it is missing, and shows that files can be made in it by
/// making and removing one.
/// Throws InputError(bad_output): the folder above is missing, something else stands there, a link
/// leads nowhere, it is not writable or full, the name is too long.
void prepare_output_folder(const std::filesystem::path& folder);

/// Removes temporary files that earlier runs left, and gives their number. Only for the holder of
/// the folder's lock, after every rank has prepared the folder and before any writes a picture.
std::size_t sweep_temporaries(const std::filesystem::path& folder);

/// Makes the folder that a file name such as "00012/012345.png" leads into, if it is not there;
/// other ranks may do the same at the same time. Throws Error(storage).
void make_folder_of(const std::filesystem::path& folder, const std::string& file_name);

/// The claim of one run on an output folder: `.diffuse-batch.lock` with host, process and its start
/// time (which tells processes with one number apart), touched every 30 seconds, and an flock on it
/// where the file system has that. The kernel drops the flock when the process dies, so a dead
/// run's lock is taken over at once on its own host. The lock of another host is taken over when it
/// has not been touched for five minutes, by the clock of the file system.
class OutputFolderLock {
 public:
  /// Throws InputError(busy_output) that names the holder, or InputError(bad_output) if the file
  /// cannot be made.
  explicit OutputFolderLock(const std::filesystem::path& folder);
  OutputFolderLock(const OutputFolderLock&) = delete;
  OutputFolderLock& operator=(const OutputFolderLock&) = delete;
  /// Removes the file.
  ~OutputFolderLock();

  /// True if a dead run had left its lock.
  [[nodiscard]] bool taken_over() const { return taken_over_; }

 private:
  bool try_lock();
  void beat();

  std::filesystem::path path_;
  int descriptor_ = -1;
  bool taken_over_ = false;
  std::string own_;  // what the file says of this run

  std::mutex mutex_;  // guards ending_
  std::condition_variable stop_;
  bool ending_ = false;
  std::thread heart_;
};

inline constexpr const char* kLockName = ".diffuse-batch.lock";

/// What stands under the name of a file that the list asks for.
enum class FileState {
  missing,    ///< nothing, or only a record: to be rendered
  whole,      ///< there, of this very job, as recorded: kept
  adopted,    ///< the same without a record of this job: kept, and recorded
  rewritten,  ///< a whole picture of this job that is not the one recorded: another program
              ///< changed its bytes (an optimiser, say); kept, and recorded
  torn,       ///< the beginning of a PNG file, an empty or a zeroed file: to be rendered again
  conflict,   ///< something else, which may be somebody's: replaced only with --overwrite
};

/// A look at one file.
struct FileFinding {
  FileState state = FileState::missing;
  std::string reason;         ///< of a conflict: "is a picture of another job"
  std::uint64_t bytes = 0;    ///< size, if there is a file
  std::int64_t modified = 0;  ///< nanoseconds since 1970
  std::string sha256;         ///< where it had to be read to tell
};

/// What an output folder holds of the files that a list asks for.
class FolderView {
 public:
  explicit FolderView(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The size and time that the record tells are those of the file: it is as it was written.
  [[nodiscard]] bool as_recorded(const std::string& file_name, const ManifestHead& record);

  /// Looks at a picture; `record` is what the manifest says of the job, or nothing. Where the
  /// record fits the job and the file, the file is not read; else all its check sums are looked at.
  /// Throws InputError(bad_output) for a name over 255 bytes, Error(storage) if reading fails.
  FileFinding look(const std::string& file_name, const std::string& job_hash,
                   const std::optional<ManifestHead>& record);

  /// True if there is something under this name. Folders are listed once instead of asked for each
  /// name, which network file systems are slow at.
  bool has(const std::string& file_name);

 private:
  using Names = std::unordered_set<std::string>;

  std::filesystem::path folder_;
  std::unordered_map<std::string, Names> listed_;  // by folder inside folder_
};

/// Size, time and SHA-256 of a file. Throws Error(storage).
FileFinding describe_file(const std::filesystem::path& path);

/// A file that stands where the list wants another.
struct FolderConflict {
  std::int64_t line = 0;  ///< of the list
  std::string file_name;
  std::string reason;
};

/// Throws InputError(busy_output) that names lines and files; `count` is that of all conflicts, of
/// which `first` holds as many as are told (kConflictsTold).
[[noreturn]] void refuse_conflicts(const std::filesystem::path& folder,
                                   const std::vector<FolderConflict>& first, std::size_t count);

inline constexpr std::size_t kConflictsTold = 20;

}  // namespace diffuse
