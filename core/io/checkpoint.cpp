#include "core/io/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/text.hpp"

namespace diffuse {
namespace {

/// Pages of at most this much of a file stay in memory behind the reader.
constexpr std::size_t kBytesBehind = std::size_t{128} << 20;

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

std::optional<DiffusersKey> clip_key(const TensorInfo& tensor) {
  for (const std::string_view start : {"embeddings.", "encoder.", "final_layer_norm."}) {
    if (starts_with(tensor.name, start))
      return DiffusersKey{"text_model." + tensor.name, tensor.shape};
  }
  return DiffusersKey{tensor.name, tensor.shape};
}

std::optional<DiffusersKey> vae_key(const TensorInfo& tensor) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kNames = {{
      {"query", "to_q"},
      {"key", "to_k"},
      {"value", "to_v"},
      {"proj_attn", "to_out.0"},
      {"to_q", "to_q"},
      {"to_k", "to_k"},
      {"to_v", "to_v"},
      {"to_out.0", "to_out.0"},
  }};
  DiffusersKey key{tensor.name, tensor.shape};
  constexpr std::string_view kAttention = ".attentions.0.";
  const std::size_t at = tensor.name.find(kAttention);
  if (at == std::string::npos) return key;
  const std::string head = tensor.name.substr(0, at + kAttention.size());
  const std::string_view rest = std::string_view(tensor.name).substr(head.size());
  for (const auto& [stored, name] : kNames) {
    if (rest != std::string(stored) + ".weight" && rest != std::string(stored) + ".bias") continue;
    key.name = head + std::string(name) + std::string(rest.substr(stored.size()));
    const auto& shape = tensor.shape;
    if (shape.size() == 4 && shape[2] == 1 && shape[3] == 1) key.shape.resize(2);
  }
  return key;
}

}  // namespace

std::string_view name_of(Component component) {
  constexpr std::array<std::string_view, 3> kNames = {"unet", "vae", "text_encoder"};
  return kNames.at(static_cast<std::size_t>(component));
}

KeyTranslation folder_keys(Component component) {
  if (component == Component::text_encoder) return clip_key;
  if (component == Component::vae) return vae_key;
  return [](const TensorInfo& tensor) {
    return std::optional<DiffusersKey>({tensor.name, tensor.shape});
  };
}

Checkpoint::Checkpoint(Files files, const KeyTranslation& translate) : files_(std::move(files)) {
  for (const auto& file : files_) {
    for (const TensorInfo& tensor : file->tensors()) {
      auto key = translate(tensor);
      if (!key) continue;
      Entry entry{{file->bytes(tensor), tensor.dtype, std::move(key->shape), file->path().string(),
                   tensor.name}};
      const auto [place, is_new] = entries_.try_emplace(key->name, std::move(entry));
      if (is_new) continue;
      const StoredTensor& first = place->second.tensor;
      refuse_file(file->path(),
                  "tensor \"" + printable(tensor.name) + "\" means the same weight as \"" +
                      printable(first.stored_name) + "\" of '" + printable(first.file, 1000) +
                      "', so it is not clear which to use (fetch the model again)");
    }
  }
}

const StoredTensor* Checkpoint::find(std::string_view diffusers_name) {
  const auto found = entries_.find(std::string(diffusers_name));
  if (found == entries_.end()) return nullptr;
  if (bytes_found_ > kBytesBehind) {
    drop_pages();
    bytes_found_ = 0;
  }
  bytes_found_ += found->second.tensor.bytes.size();
  found->second.taken = true;
  return &found->second.tensor;
}

std::vector<std::string> Checkpoint::never_taken() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) {
    if (!entry.taken) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string Checkpoint::where() const {
  if (files_.empty()) return "no file";
  const std::string first = "'" + printable(files_.front()->path().string(), 1000) + "'";
  return files_.size() == 1 ? first
                            : first + " and " + std::to_string(files_.size() - 1) + " more shards";
}

void Checkpoint::drop_pages() const {
  for (const auto& file : files_) file->drop_pages();
}

}  // namespace diffuse
