#pragma once

#include <exception>
#include <string>

#include "core/base/error.hpp"
#include "mpi/communicator.hpp"

namespace diffuse {

/// The ranks agreed to end: the code, and on root the line to print.
struct AgreedEnd {
  ExitCode code = ExitCode::ok;
  std::string line;
};

/// Runs `step` on every rank, then lets all ranks agree on how they fared, so that nobody walks
/// into the next collective alone. Throws AgreedEnd on every rank if any of them failed.
template <class Step>
void together(const mpi::Communicator& comm, Step&& step) {
  ExitCode code = ExitCode::ok;
  std::string message;
  try {
    step();
  } catch (const AgreedEnd&) {
    throw;
  } catch (const Error& error) {
    code = error.code();
    message = error.what();
  } catch (const std::exception& error) {
    code = ExitCode::bug;
    message = std::string(error.what()) + " (this is a bug: please report it)";
  }
  const mpi::Agreement agreement = comm.agree(code, message);
  if (!agreement.ok()) throw AgreedEnd{agreement.code, agreement.line()};
}

}  // namespace diffuse
