#pragma once

#include <stdexcept>
#include <string>

namespace diffuse {

/// Exit codes of the program. A code that is not in this list means failure.
/// 1 and everything above 125 belong to launchers, shells and the kernel.
enum class ExitCode : int {
  ok = 0,            ///< every job has a whole picture
  usage = 2,         ///< flags or configuration file
  some_failed = 3,   ///< finished, but some jobs failed
  bad_list = 10,     ///< prompt list
  bad_model = 11,    ///< model folder or checkpoint
  bad_output = 12,   ///< output folder cannot be used
  busy_output = 13,  ///< output folder belongs to another run, or one is at work in it
  no_device = 14,    ///< no usable device on at least one rank
  launcher = 15,     ///< the launcher and the MPI library do not match
  storage = 20,      ///< storage failed while running; the same command continues
  device_lost = 21,  ///< device lost while running; the same command continues
  bug = 70,          ///< internal error
  stopped = 75,      ///< stopped on request; the same command continues
};

/// Base of all errors of the program: a one-line message (problem, why it matters, what to do)
/// and the exit code with which a run ends if nobody handles it.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// A flag, or a value in a configuration file given by flag, is wrong.
class ConfigError : public Error {
 public:
  explicit ConfigError(const std::string& message) : Error(ExitCode::usage, message) {}
};

/// A file or folder is missing, malformed or unsupported. `code` says which kind of input it was.
class InputError : public Error {
 public:
  InputError(ExitCode code, const std::string& message) : Error(code, message) {}
};

/// An op or a layer was given shapes that do not fit together.
class ShapeError : public Error {
 public:
  explicit ShapeError(const std::string& message) : Error(ExitCode::bug, message) {}
};

/// A device is missing, too old, out of memory or lost.
class DeviceError : public Error {
 public:
  explicit DeviceError(const std::string& message, ExitCode code = ExitCode::no_device)
      : Error(code, message) {}
};

/// MPI reported an error, or the launcher and the library do not match.
class MpiError : public Error {
 public:
  explicit MpiError(const std::string& message, ExitCode code = ExitCode::bug)
      : Error(code, message) {}
};

}  // namespace diffuse
