#include "apps/diffuse_batch/find_model.hpp"

#include <filesystem>

#include "apps/paths.hpp"
#include "core/base/error.hpp"

namespace diffuse {

std::string find_model(const std::string& flag,
                       const std::function<std::optional<std::string>(const char*)>& environment) {
  if (!flag.empty()) return flag;
  if (const auto named = environment("DIFFUSE_BATCH_MODEL"); named && !named->empty())
    return *named;

  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path from_build_tree = kSourceModel;
  const fs::path installed = program.parent_path() / kInstalledModelFromBin;
  const bool in_build_tree = !program.empty() && program.string().rfind(kBuildFolder, 0) == 0;
  if (in_build_tree && fs::exists(from_build_tree / "model_index.json", ignored)) {
    return from_build_tree.string();
  }
  if (fs::exists(installed / "model_index.json", ignored))
    return installed.lexically_normal().string();
  throw InputError(ExitCode::bad_model,
                   "no model: neither --model nor DIFFUSE_BATCH_MODEL is given, and the model that "
                   "ships is not at " +
                       installed.lexically_normal().string() + " (install it, or name a model)");
}

}  // namespace diffuse
