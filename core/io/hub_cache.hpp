#pragma once

#include <filesystem>
#include <string_view>

namespace diffuse {

/// A model that the user names: a path that exists, or else a name `org/name` of the Hugging Face
/// hub, whose snapshot of the branch `main` is looked for, without any network, in the cache of
/// `huggingface_hub`: $HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else
/// ~/.cache/huggingface/hub. Throws InputError(bad_model) that says where it was looked for.
/// Source: huggingface_hub `constants.py`, "Manage huggingface_hub cache-system".
std::filesystem::path resolve_model(std::string_view name);

}  // namespace diffuse
