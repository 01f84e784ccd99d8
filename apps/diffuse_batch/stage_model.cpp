#include "apps/diffuse_batch/stage_model.hpp"

#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <system_error>

#include "apps/diffuse_batch/together.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/io/fingerprint.hpp"

namespace diffuse {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNameDigits = 32;
constexpr std::size_t kReadBytes = std::size_t{4} << 20;
constexpr Component kComponents[] = {Component::unet, Component::vae, Component::text_encoder};
constexpr const char* kSingleFile = "model.safetensors";
constexpr std::array kTokenizerFiles = {
    "tokenizer.json",          "vocab.json",       "merges.txt", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json"};

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

/// Where the copy in `folder` is opened.
ModelPlace place_in(const fs::path& folder, const ModelPlace& original, bool single_file) {
  ModelPlace place = original;
  place.model = (single_file ? folder / kSingleFile : folder).string();
  if (!place.options.vae.empty()) place.options.vae = (folder / "vae").string();
  if (!place.options.tokenizer.empty()) place.options.tokenizer = (folder / "tokenizer").string();
  return place;
}

bool is_single_file(const ModelFolder& model) {
  std::error_code ignored;
  return !fs::is_regular_file(model.scheduler().file, ignored);
}

/// The copy in `folder`, if it is whole and the wanted model.
bool holds(const ModelPlace& copy, const std::string& fingerprint) {
  std::error_code ignored;
  if (!fs::exists(copy.model, ignored)) return false;
  try {
    return model_fingerprint(ModelFolder::open(copy.model, copy.options)) == fingerprint;
  } catch (const InputError&) {
    return false;
  }
}

/// A copy that has got its final name has also reached the disk: the fingerprint looks at samples,
/// and would not see every hole that a loss of power leaves.
void copy_files(const std::vector<StagedFile>& files, const fs::path& folder) {
  for (const StagedFile& file : files) {
    const fs::path to = folder / file.to;
    fs::create_directories(to.parent_path());
    fs::copy_file(file.from, to);
  }
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::syncfs(descriptor) == 0;
  const std::error_code why(synced ? 0 : errno, std::generic_category());
  if (descriptor >= 0) ::close(descriptor);
  if (!synced) throw fs::filesystem_error("syncfs", folder, why);
}

/// Copies under a name of its own and renames: the usual name never names a part of a copy.
void make_copy(const ModelPlace& original, const fs::path& folder, bool single_file,
               const std::string& fingerprint) {
  const ModelFolder model = ModelFolder::open(original.model, original.options);
  fs::path part = folder;
  part += "." + std::to_string(::getpid()) + ".part";
  std::error_code ignored;
  const auto refuse = [&](const std::string& why) {
    fs::remove_all(part, ignored);
    throw InputError(ExitCode::bad_model, "--stage-dir " +
                                              printable(folder.parent_path().string()) +
                                              ": the model cannot be copied there: " + why);
  };
  try {
    copy_files(staged_files(model, original), part);
  } catch (const fs::filesystem_error& error) {
    refuse(error.code().message() + " (" + printable(error.path1().string()) + ")");
  }
  if (!holds(place_in(part, original, single_file), fingerprint)) {
    fs::remove_all(part, ignored);
    throw InputError(ExitCode::bad_model, printable(original.model) +
                                              ": the model differs from rank 0's, or changes while "
                                              "it is copied (copy it again)");
  }

  // Another run may have been faster; what lies there otherwise is not whole. Files that a run has
  // mapped live on without a name.
  if (holds(place_in(folder, original, single_file), fingerprint)) {
    fs::remove_all(part, ignored);
    return;
  }
  std::error_code error;
  fs::remove_all(folder, ignored);
  fs::rename(part, folder, error);
  if (error && !holds(place_in(folder, original, single_file), fingerprint)) {
    refuse(error.message());
  }
  fs::remove_all(part, ignored);
}

}  // namespace

std::vector<StagedFile> staged_files(const ModelFolder& model, const ModelPlace& place) {
  std::vector<StagedFile> files;
  std::set<fs::path> seen;
  const auto add = [&](const fs::path& from, const fs::path& to) {
    if (seen.insert(from).second) files.push_back({from, to});
  };
  const bool single_file = is_single_file(model);
  if (!single_file) {
    const fs::path scheduler = model.scheduler().file;
    add(scheduler.parent_path().parent_path() / "model_index.json", "model_index.json");
    add(scheduler, fs::path("scheduler") / scheduler.filename());
  }
  for (const Component component : kComponents) {
    const fs::path folder = std::string(name_of(component));
    const bool in_folder =
        !single_file || (component == Component::vae && !place.options.vae.empty());
    if (in_folder) add(model.config(component).file, folder / "config.json");
    const WeightFiles& weights = model.weight_files(component);
    if (!weights.index.empty()) add(weights.index, folder / weights.index.filename());
    for (const fs::path& file : weights.files) {
      add(file, in_folder ? folder / file.filename() : fs::path(kSingleFile));
    }
  }
  for (const char* name : kTokenizerFiles) {
    const fs::path file = model.tokenizer_folder() / name;
    std::error_code ignored;
    if (fs::exists(file, ignored)) add(file, fs::path("tokenizer") / name);
  }
  return files;
}

ModelPlace stage_model(const mpi::Communicator& comm, const ModelPlace& place,
                       const std::string& stage_dir) {
  std::string about;
  together(comm, [&] {
    if (!is_folder(stage_dir)) {
      throw ConfigError("--stage-dir " + printable(stage_dir) +
                        ": there is no such folder on this node");
    }
    if (!comm.is_root()) return;
    const ModelFolder model = ModelFolder::open(place.model, place.options);
    about = (is_single_file(model) ? "f" : "d") + model_fingerprint(model);
  });
  about = comm.broadcast_bytes(0, about);
  const bool single_file = about.front() == 'f';
  const std::string fingerprint = about.substr(1);
  const fs::path folder =
      fs::path(stage_dir) / ("diffuse-batch-model-" + fingerprint.substr(0, kNameDigits));
  ModelPlace copy = place_in(folder, place, single_file);
  together(comm, [&] {
    if (comm.local_rank() != 0 || holds(copy, fingerprint)) return;
    make_copy(place, folder, single_file, fingerprint);
    log()->info("model copied to {}", folder.string());
  });
  return copy;
}

bool is_network_file_system(long type) {
  // linux/magic.h and the sources of file systems that lie outside the kernel. FUSE is what most
  // parallel and object stores are mounted by.
  constexpr std::array<unsigned long, 12> kTypes = {
      0x6969UL,      // NFS
      0xFF534D42UL,  // CIFS
      0xFE534D42UL,  // SMB2
      0x517BUL,      // SMB
      0x00C36400UL,  // Ceph
      0x0BD00BD0UL,  // Lustre
      0x47504653UL,  // GPFS
      0x19830326UL,  // BeeGFS
      0x20030528UL,  // OrangeFS, PVFS2
      0x5346414FUL,  // AFS
      0x01021997UL,  // 9P
      0x65735546UL,  // FUSE
  };
  // f_type is a signed word of 32 bits on some systems.
  const auto word = static_cast<unsigned long>(type) & 0xFFFFFFFFUL;
  return std::find(kTypes.begin(), kTypes.end(), word) != kTypes.end();
}

void read_weights_once_per_node(const mpi::Communicator& comm, const ModelFolder& model) {
  if (comm.local_rank() == 0 && comm.local_size() > 1) {
    std::set<fs::path> files;
    for (const Component component : kComponents) {
      const WeightFiles& weights = model.weight_files(component);
      files.insert(weights.files.begin(), weights.files.end());
    }
    std::vector<char> buffer;
    for (const fs::path& file : files) {
      struct statfs system {};
      if (::statfs(file.c_str(), &system) != 0 || !is_network_file_system(system.f_type)) continue;
      const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
      if (descriptor < 0) continue;
      buffer.resize(kReadBytes);
      while (::read(descriptor, buffer.data(), buffer.size()) > 0) {
      }
      ::close(descriptor);
    }
  }
  comm.barrier();
}

}  // namespace diffuse
