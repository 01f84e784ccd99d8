#include "kernels/make_backend.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cuda_module.hpp"

namespace diffuse {
namespace {

constexpr const char* kModuleName = "diffuse_cuda.so";

// Where the module may be: the user's choice alone if there is one, else beside the program, else
// where it is installed.
std::vector<std::filesystem::path> module_paths() {
  if (const char* chosen = std::getenv("DIFFUSE_BATCH_CUDA_MODULE")) return {chosen};
  std::vector<std::filesystem::path> paths;
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  if (!program.empty()) {
    const auto folder = program.parent_path();
    paths.push_back(folder / kModuleName);
    paths.push_back(folder.parent_path() / DIFFUSE_INSTALL_LIBDIR / "diffuse-batch" / kModuleName);
  }
  return paths;
}

// The module's function; null with a reason where there is none. The module stays open.
DiffuseCudaModule* open_module(std::string& why) {
  std::string looked_at;
  for (const auto& path : module_paths()) {
    looked_at += (looked_at.empty() ? "" : ", ") + printable(path.string());
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) continue;
    void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) {
      why = "the CUDA module cannot be opened: " + printable(dlerror());
      return nullptr;
    }
    void* symbol = dlsym(module, "diffuse_cuda_module");
    if (symbol == nullptr) {
      why = printable(path.string()) + " is not a CUDA module of this program";
      return nullptr;
    }
    return reinterpret_cast<DiffuseCudaModule*>(symbol);
  }
  why = "this build has no CUDA module (looked for " + looked_at +
        "); build with CUDA 12.4 and cuDNN 9.8 or newer, or use --device cpu";
  return nullptr;
}

}  // namespace

bool cuda_available(std::string* why) {
  std::string reason;
  if (DiffuseCudaModule* module = open_module(reason)) {
    const char* problem = nullptr;
    module(kDiffuseCudaAbi, nullptr, &problem);
    if (problem == nullptr) return true;
    reason = problem;
  }
  if (why != nullptr) *why = reason;
  return false;
}

std::unique_ptr<Backend> make_backend(std::string_view device, const BackendOptions& options) {
  if (device == "cpu")
    return std::make_unique<cpu::CpuBackend>(options.threads, options.force_isa, options.lean);
  if (device != "cuda") {
    throw ConfigError("unknown device \"" + printable(device) + "\": use cpu or cuda");
  }
  std::string reason;
  DiffuseCudaModule* module = open_module(reason);
  if (module == nullptr) throw DeviceError("no CUDA device: " + reason);
  const char* problem = nullptr;
  std::unique_ptr<Backend> backend(module(kDiffuseCudaAbi, &options, &problem));
  if (backend == nullptr) {
    throw DeviceError(std::string("no CUDA device: ") +
                      (problem != nullptr ? problem : "the CUDA module gives no reason"));
  }
  return backend;
}

}  // namespace diffuse
