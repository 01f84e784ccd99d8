#pragma once

#include <string>
#include <vector>

#include "core/io/model_folder.hpp"

namespace diffuse {

/// Fills a ModelFolder, and collects what is missing so that all of it can be named together.
class ModelFolderReader {
 public:
  ModelFolderReader(std::filesystem::path path, const ModelOptions& options)
      : path_(std::move(path)), options_(options) {}

  /// Reads `path` as a folder or as a single file. Throws InputError(bad_model).
  ModelFolder read();

 private:
  void read_folder();
  void read_single_file();

  /// Reads model_index.json: the pipeline's class, the scheduler's, and what is passed over.
  void read_model_index();
  /// Refuses a component of a class that cannot be run.
  void check_class(const nlohmann::json& index, const std::string& part,
                   const std::vector<std::string>& classes);
  void read_scheduler();
  void read_component(Component component, const std::filesystem::path& folder);
  void read_vae_from_elsewhere();
  void read_tokenizer(const std::filesystem::path& usual_folder);
  void note_variants();
  void throw_if_missing() const;

  std::filesystem::path path_;
  const ModelOptions& options_;
  ModelFolder model_;
  std::vector<std::string> missing_;
  std::vector<std::string> without_variant_;
  int with_variant_ = 0;
};

}  // namespace diffuse
