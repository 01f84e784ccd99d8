#include "apps/diffuse_batch/same_files.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>

#include "apps/diffuse_batch/together.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/io/fingerprint.hpp"
#include "core/io/output_folder.hpp"

namespace diffuse {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience{10};
constexpr std::chrono::milliseconds kPause{100};

bool on_one_node(const mpi::Communicator& comm) {
  return comm.all_of(comm.local_size() == comm.size());
}

/// Hash of a plain file; nothing if there is none that can be read.
std::string hash_of_file(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return {};
  try {
    return file_sha256(path);
  } catch (const InputError&) {
    return {};
  }
}

/// The bytes of a lock file, which has a line or so; nothing if it is not there.
std::string lock_in(const fs::path& folder) {
  // Opening the folder makes NFS ask the server for its present contents.
  std::error_code ignored;
  const fs::directory_iterator look(folder, ignored);
  std::ifstream file(folder / kLockName, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

void agree_on_list(const mpi::Communicator& comm, const std::string& list) {
  if (list == "-" || on_one_node(comm)) return;
  std::string roots;
  if (comm.is_root()) roots = hash_of_file(list);
  roots = comm.broadcast_bytes(0, roots);
  together(comm, [&] {
    if (comm.local_rank() != 0 || roots.empty()) return;
    const std::string mine = hash_of_file(list);
    if (!mine.empty() && mine != roots) {
      throw InputError(ExitCode::bad_list,
                       printable(list) +
                           ": this node has another list of that name than rank 0, which reads it "
                           "(copy it again, or remove it here)");
    }
  });
}

void agree_on_output_folder(const mpi::Communicator& comm, const std::string& folder) {
  if (on_one_node(comm)) return;
  std::string roots;
  if (comm.is_root()) roots = lock_in(folder);
  roots = comm.broadcast_bytes(0, roots);
  together(comm, [&] {
    if (comm.local_rank() != 0 || roots.empty()) return;
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (lock_in(folder) != roots) {
      if (std::chrono::steady_clock::now() > end) {
        throw InputError(ExitCode::bad_output,
                         printable(folder) +
                             ": this node does not see the output folder of rank 0 (the folder "
                             "must lie on a file system that all nodes share)");
      }
      std::this_thread::sleep_for(kPause);
    }
  });
}

}  // namespace diffuse
