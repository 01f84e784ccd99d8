#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/io/model_folder.hpp"

namespace diffuse {

/// What was found of a component's weights in its folder.
struct FoundWeights {
  std::optional<WeightFiles> files;
  bool is_variant = false;
  std::string problem;  ///< what to tell the user if `files` is empty
};

/// Looks for `<base>.safetensors` or its index in `folder`; with `variant`, for that variant first.
/// base: "diffusion_pytorch_model", or "model" for networks of transformers. Throws
/// InputError(bad_model) for a malformed index.
FoundWeights find_weights(const std::filesystem::path& folder, Component component,
                          const std::string& variant);

/// True if the folder holds a tokenizer, in either layout.
bool holds_tokenizer(const std::filesystem::path& folder);

/// Names of the regular files in a folder that end so, sorted.
std::vector<std::string> files_ending(const std::filesystem::path& folder, std::string_view ending);

}  // namespace diffuse
