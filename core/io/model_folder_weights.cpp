#include "core/io/model_folder_weights.hpp"

#include <algorithm>

#include "core/base/text.hpp"

namespace diffuse {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code error;
  // A dangling link counts: opening it then names the reason.
  return fs::exists(fs::symlink_status(path, error));
}

/// Names that one file of weights and its index have had in the two libraries.
std::optional<WeightFiles> look_for(const fs::path& folder, const std::string& base,
                                    const std::string& variant) {
  const std::string middle = variant.empty() ? "" : "." + variant;
  const fs::path one = folder / (base + middle + ".safetensors");
  if (is_there(one)) return WeightFiles{{one}, {}};
  for (const std::string& name : {base + ".safetensors.index" + middle + ".json",
                                  base + middle + ".safetensors.index.json"}) {
    if (is_there(folder / name)) return WeightFiles{shards_of(folder / name), folder / name};
  }
  return std::nullopt;
}

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + printable(name);
  return text;
}

std::string missing_weights(const fs::path& folder, const std::string& base) {
  const std::string at = "'" + printable((folder / (base + ".safetensors")).string(), 1000) + "'";
  if (const auto other = files_ending(folder, ".safetensors"); !other.empty()) {
    return at + " is missing; there is " + list(other) +
           " (a variant is chosen with --variant, e.g. --variant fp16)";
  }
  for (const char* ending : {".bin", ".ckpt", ".pt", ".pth", ".msgpack", ".onnx"}) {
    if (const auto other = files_ending(folder, ending); !other.empty()) {
      return at + " is missing; there is only " + list(other) +
             ", which is not read: pickles can run code of their author (convert the model with "
             "diffusers: pipe.save_pretrained(folder, safe_serialization=True))";
    }
  }
  return at + " is missing";
}

}  // namespace

std::vector<std::string> files_ending(const fs::path& folder, std::string_view ending) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::string name = at->path().filename().string();
    if (name.size() > ending.size() &&
        name.compare(name.size() - ending.size(), ending.size(), ending) == 0) {
      names.push_back(std::move(name));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

FoundWeights find_weights(const fs::path& folder, Component component, const std::string& variant) {
  const std::string base =
      component == Component::text_encoder ? "model" : "diffusion_pytorch_model";
  FoundWeights found;
  if (!variant.empty()) {
    found.files = look_for(folder, base, variant);
    found.is_variant = found.files.has_value();
  }
  if (!found.files) found.files = look_for(folder, base, "");
  if (!found.files) found.problem = missing_weights(folder, base);
  return found;
}

bool holds_tokenizer(const fs::path& folder) {
  return is_there(folder / "tokenizer.json") ||
         (is_there(folder / "vocab.json") && is_there(folder / "merges.txt"));
}

}  // namespace diffuse
