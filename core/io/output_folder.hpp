#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace diffuse {

/// Creates the folder (one level) if it is missing, and shows that files can be made in it by
/// making and removing one.
/// Throws InputError(bad_output): the folder above is missing, something else stands there, a link
/// leads nowhere, it is not writable or full, the name is too long.
void prepare_output_folder(const std::filesystem::path& folder);

/// Removes temporary files that earlier runs left, and gives their number. Only for the holder of
/// the folder's lock, after every rank has prepared the folder and before any writes a picture.
std::size_t sweep_temporaries(const std::filesystem::path& folder);

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

/// A picture that the list asks for.
struct ExpectedPicture {
  std::int64_t line = 0;  ///< of the list, for messages
  std::string file_name;  ///< inside the folder
  std::string job_hash;
};

/// A file that stands where a picture is to go and that is not ours to replace unasked.
struct PictureConflict {
  std::size_t position = 0;  ///< in the list of expected pictures
  std::string reason;        ///< "holds a picture of another job"
};

/// What an output folder holds of the pictures that are asked for: positions in that list.
struct FolderState {
  std::vector<std::size_t> whole;          ///< there, and of this very job: kept
  std::vector<std::size_t> missing;        ///< to be rendered
  std::vector<std::size_t> torn;           ///< not whole: to be rendered again, and reported
  std::vector<PictureConflict> conflicts;  ///< to be rendered only with --overwrite
};

/// Looks at each expected picture. A torn one is the beginning of a PNG file, an empty or a zeroed
/// file; a conflict is a whole picture of another job or of another program, other bytes, or no
/// file at all (a folder). Throws InputError(bad_output) for a name over 255 bytes, Error(storage)
/// if reading fails.
FolderState inspect_folder(const std::filesystem::path& folder,
                           std::span<const ExpectedPicture> pictures);

/// Throws InputError(busy_output) that names lines and files (the first 20), if there are
/// conflicts.
void refuse_conflicts(const std::filesystem::path& folder, const FolderState& state,
                      std::span<const ExpectedPicture> pictures);

}  // namespace diffuse
