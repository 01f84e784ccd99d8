#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace diffuse {

/// How the names of temporary files begin and end, by which a sweep knows them for ours.
inline constexpr std::string_view kTemporaryPrefix = ".diffuse-batch.";
inline constexpr std::string_view kTemporarySuffix = ".part";

/// Writes `bytes` so that `path` is either as it was or holds all of them, whatever fails or dies:
/// a temporary file in the same folder (".diffuse-batch.<name>.<pid>.<n>.part"), fsync, rename over
/// `path`, fsync of the folder. Every step is checked; on failure the temporary file is removed.
/// Throws Error: ExitCode::some_failed if this one name cannot be written (a folder stands there,
/// or the name is too long), else ExitCode::storage.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);

/// The same for text.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// The same for a file that is too large to be in memory at once. Errors as above.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  /// Removes the temporary file unless it was committed.
  ~AtomicFile();

  void write(std::span<const std::uint8_t> bytes);
  void write(std::string_view text);
  /// Brings the bytes to storage; what is left is the name.
  void finish();
  /// Gives the file its name. The last call.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  bool renamed_ = false;
};

}  // namespace diffuse
