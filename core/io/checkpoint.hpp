#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/io/safetensors.hpp"

namespace diffuse {

/// The networks whose weights a model holds.
enum class Component { unet, vae, text_encoder };

/// "unet", "vae", "text_encoder": the folder's name.
std::string_view name_of(Component component);

/// A tensor's key and shape in the diffusers layout of its component.
struct DiffusersKey {
  std::string name;
  std::vector<std::int64_t> shape;
};

/// What an entry of a file is in the diffusers layout; nothing if it does not belong to the
/// component. Applied once to every entry, when a checkpoint is opened.
using KeyTranslation = std::function<std::optional<DiffusersKey>(const TensorInfo&)>;

/// The translation for files of a diffusers folder, which only bridges the ages of the two
/// libraries: CLIP keys without the prefix `text_model.` (transformers 5) get it, the VAE's old
/// attention names `query key value proj_attn` become `to_q to_k to_v to_out.0`, and its attention
/// weights [C, C, 1, 1] become [C, C].
KeyTranslation folder_keys(Component component);

/// A weight as it lies in a file, under its diffusers key.
struct StoredTensor {
  std::span<const std::byte> bytes;  ///< little-endian, perhaps unaligned
  StoredDType dtype = StoredDType::f32;
  std::vector<std::int64_t> shape;
  std::string file;         ///< for messages
  std::string stored_name;  ///< the key in the file
};

/// The weights of one component from one safetensors file or several, found by diffusers key.
class Checkpoint {
 public:
  using Files = std::vector<std::shared_ptr<const SafetensorsFile>>;

  /// Throws InputError(bad_model) if two entries have the same diffusers key.
  Checkpoint(Files files, const KeyTranslation& translate);

  /// The weight of that key, or null; marks it as taken. Bytes stay valid as long as the
  /// checkpoint. Pages of weights found earlier are given back from time to time, so that reading a
  /// checkpoint in order never holds more than a part of it in memory.
  const StoredTensor* find(std::string_view diffusers_name);

  /// Keys that nobody asked for, sorted.
  [[nodiscard]] std::vector<std::string> never_taken() const;
  /// The file, or the first of several and their number, for messages.
  [[nodiscard]] std::string where() const;
  /// Gives the memory of all pages back (they are read again when touched).
  void drop_pages() const;

 private:
  struct Entry {
    StoredTensor tensor;
    bool taken = false;
  };

  Files files_;
  std::unordered_map<std::string, Entry> entries_;
  std::size_t bytes_found_ = 0;  ///< since pages were last given back
};

/// Opens the shards that an index (`*.safetensors.index.json`) names, which lie beside it.
/// Throws InputError(bad_model) for a malformed index, a shard that is missing or whose name is no
/// plain file name, a key that its shard lacks, and a tensor that lies in two shards.
Checkpoint::Files open_shards(const std::filesystem::path& index);

/// Paths of the shards of an index in order of their names, judged as open_shards does, but not
/// opened.
std::vector<std::filesystem::path> shards_of(const std::filesystem::path& index);

}  // namespace diffuse
