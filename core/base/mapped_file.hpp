#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "core/base/error.hpp"

namespace diffuse {

/// Throws InputError(code): the file's name, then `problem`, in one line.
[[noreturn]] void refuse_file(const std::filesystem::path& path, const std::string& problem,
                              ExitCode code = ExitCode::bad_model);

/// A regular file mapped for reading. Pages are read when they are touched and stay in the page
/// cache of the machine, shared by all ranks of a node.
class MappedFile {
 public:
  /// Throws InputError(code) that names the reason of the system if the file is missing, unreadable
  /// or no regular file.
  static MappedFile open(const std::filesystem::path& path, ExitCode code = ExitCode::bad_model);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  /// Gives back the pages that hold `part` (which lies in bytes()), so that they no longer count as
  /// memory of this process; touching them again reads them again.
  void drop_pages(std::span<const std::byte> part) const;

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

/// From now on, SIGBUS ends the process with one line on standard error and ExitCode::storage
/// instead of a core dump: the system sends it where a mapped file has become shorter, or where
/// its storage fails. For the program's main, before threads start.
void exit_on_bus_error();

}  // namespace diffuse
