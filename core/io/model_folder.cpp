#include "core/io/model_folder.hpp"

#include "core/io/hub_cache.hpp"
#include "core/io/ldm_layout.hpp"
#include "core/io/model_folder_reader.hpp"

namespace diffuse {

ModelFolder ModelFolder::open(const std::string& model, const ModelOptions& options) {
  return ModelFolderReader(resolve_model(model), options).read();
}

Checkpoint ModelFolder::weights(Component component) const {
  const bool from_elsewhere = component == Component::vae && vae_is_from_elsewhere_;
  if (single_file_ && !from_elsewhere) return {{single_file_}, ldm_keys(component)};
  const WeightFiles& where = weight_files(component);
  if (!where.index.empty()) return {open_shards(where.index), folder_keys(component)};
  return {{std::make_shared<SafetensorsFile>(SafetensorsFile::open(where.files.front()))},
          folder_keys(component)};
}

}  // namespace diffuse
