#include "mpi/agreement.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace diffuse::mpi {
namespace {

constexpr std::array kMildestFirst = {
    ExitCode::ok,          ExitCode::some_failed, ExitCode::stopped,   ExitCode::storage,
    ExitCode::device_lost, ExitCode::bug,         ExitCode::launcher,  ExitCode::no_device,
    ExitCode::busy_output, ExitCode::bad_output,  ExitCode::bad_model, ExitCode::bad_list,
    ExitCode::usage};

}  // namespace

int severity_of(ExitCode code) {
  const auto* found = std::find(kMildestFirst.begin(), kMildestFirst.end(), code);
  if (found == kMildestFirst.end()) return severity_of(ExitCode::bug);
  return static_cast<int>(std::distance(kMildestFirst.begin(), found));
}

ExitCode code_with_severity(int severity) {
  return kMildestFirst.at(static_cast<std::size_t>(severity));
}

std::string Agreement::line() const {
  for (const Verdict& verdict : failures) {
    if (verdict.rank != rank) continue;
    std::string text = verdict.message + " (rank " + std::to_string(rank) + ", " + verdict.host;
    if (failures.size() > 1) {
      text += ", and " + std::to_string(failures.size() - 1) + " more";
    }
    return text + ")";
  }
  return {};
}

}  // namespace diffuse::mpi
