#include <map>
#include <set>

#include "core/base/json_file.hpp"
#include "core/base/text.hpp"
#include "core/io/checkpoint.hpp"

namespace diffuse {
namespace {

constexpr std::string_view kFetchAgain = " (fetch the model again)";

/// A file name and nothing more: an index from elsewhere must not reach outside its folder.
bool is_plain_name(std::string_view name) {
  constexpr std::string_view kEnding = ".safetensors";
  if (name.size() <= kEnding.size() || name.size() > 255 || name.front() == '.') return false;
  if (name.substr(name.size() - kEnding.size()) != kEnding) return false;
  for (const char c : name) {
    if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20) return false;
  }
  return true;
}

/// Keys of each shard, the shards in order of their names.
using Index = std::map<std::string, std::vector<std::string>>;

Index read_index(const std::filesystem::path& index) {
  const nlohmann::json json = read_json_object(index);
  const auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object() || map->empty()) {
    refuse_file(index, "has no \"weight_map\" of weights to files" + std::string(kFetchAgain));
  }
  Index shards;
  for (const auto& [key, value] : map->items()) {
    if (!value.is_string() || !is_plain_name(value.get_ref<const std::string&>())) {
      refuse_file(index, "\"" + printable(key) + "\" is said to lie in " + printable(value.dump()) +
                             ", which is not the plain name of a safetensors file" +
                             std::string(kFetchAgain));
    }
    shards[value.get_ref<const std::string&>()].push_back(key);
  }
  return shards;
}

std::vector<std::filesystem::path> paths_of(const Index& shards,
                                            const std::filesystem::path& index) {
  std::vector<std::filesystem::path> paths;
  for (const auto& [name, keys] : shards) {
    paths.push_back(index.parent_path() / name);
    std::error_code error;
    if (!std::filesystem::exists(paths.back(), error)) {
      refuse_file(paths.back(), "is missing: a shard that the index '" +
                                    printable(index.filename().string()) + "' names" +
                                    std::string(kFetchAgain));
    }
  }
  return paths;
}

}  // namespace

std::vector<std::filesystem::path> shards_of(const std::filesystem::path& index) {
  return paths_of(read_index(index), index);
}

Checkpoint::Files open_shards(const std::filesystem::path& index) {
  const Index shards = read_index(index);
  Checkpoint::Files files;
  std::map<std::string_view, const SafetensorsFile*> seen;
  for (const auto& path : paths_of(shards, index)) {
    files.push_back(std::make_shared<SafetensorsFile>(SafetensorsFile::open(path)));
    for (const TensorInfo& tensor : files.back()->tensors()) {
      const auto [place, is_new] = seen.emplace(tensor.name, files.back().get());
      if (!is_new) {
        refuse_file(path, "tensor \"" + printable(tensor.name) + "\" lies in the shard '" +
                              printable(place->second->path().filename().string()) + "' too" +
                              std::string(kFetchAgain));
      }
    }
  }
  auto file = files.begin();
  for (const auto& [name, keys] : shards) {
    for (const std::string& key : keys) {
      if ((*file)->find(key) != nullptr) continue;
      refuse_file((*file)->path(), "lacks the tensor \"" + printable(key) +
                                       "\" that the index promises" + std::string(kFetchAgain));
    }
    ++file;
  }
  return files;
}

}  // namespace diffuse
