#include "core/io/hub_cache.hpp"

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string>

#include "core/base/json_file.hpp"
#include "core/base/mapped_file.hpp"
#include "core/base/text.hpp"

namespace diffuse {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path hub_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string hub = environment(name); !hub.empty()) return hub;
  }
  if (const std::string home = environment("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  const std::string cache = environment("XDG_CACHE_HOME");
  const fs::path base = cache.empty() ? fs::path(environment("HOME")) / ".cache" : fs::path(cache);
  return base / "huggingface" / "hub";
}

bool is_hub_part(std::string_view part) {
  if (part.empty() || part.size() > 96 || part.front() == '.' || part.front() == '-') return false;
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return part.find_first_not_of(kLetters) == std::string_view::npos;
}

/// "models--org--name", if the name can be one of the hub.
std::optional<std::string> cache_name(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view org = name.substr(0, slash);
  const std::string_view model = name.substr(slash + 1);
  if (!is_hub_part(org) || !is_hub_part(model)) return std::nullopt;
  return "models--" + std::string(org) + "--" + std::string(model);
}

}  // namespace

fs::path resolve_model(std::string_view name) {
  if (name.empty()) throw InputError(ExitCode::bad_model, "the name of the model is empty");
  fs::path path(name);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status)) return path;
  const auto folder = cache_name(name);
  if (!folder || error.value() == ELOOP || error.value() == EACCES) {
    refuse_file(path, "no such model folder or file (" +
                          (error ? error.message() : std::string("not there")) + ")");
  }

  const fs::path cached = hub_folder() / *folder;
  const std::string fetch =
      "; nothing is fetched from the network here (fetch it with: hf download " + printable(name) +
      ")";
  if (!fs::is_directory(cached, error)) {
    refuse_file(path, "is no folder or file, and as a name of the hub it is not in the cache ('" +
                          printable(cached.string(), 1000) + "' does not exist)" + fetch);
  }
  const fs::path ref = cached / "refs" / "main";
  std::string revision = fs::exists(ref, error) ? read_text_file(ref, 256) : "";
  while (!revision.empty() && (revision.back() == '\n' || revision.back() == '\r')) {
    revision.pop_back();
  }
  fs::path snapshot = cached / "snapshots" / revision;
  if (!is_hub_part(revision) || !fs::is_directory(snapshot, error)) {
    refuse_file(cached, "has no snapshot of the branch \"main\"" + fetch);
  }
  return snapshot;
}

}  // namespace diffuse
