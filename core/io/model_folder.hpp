#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/io/checkpoint.hpp"

namespace diffuse {

/// What the user says about where parts of a model lie.
struct ModelOptions {
  std::string variant;    ///< e.g. "fp16": prefer `*.fp16.safetensors`
  std::string vae;        ///< folder of another VAE, or a model folder or hub name that has one
  std::string tokenizer;  ///< folder of another tokenizer, or a model folder that has one
};

/// One component's configuration, for a reader of its keys.
// nlohmann's move asserts, but does not throw. NOLINTNEXTLINE(bugprone-exception-escape)
struct ModelConfig {
  nlohmann::json json;  ///< always an object
  std::string file;     ///< for messages
};

/// The scheduler's configuration as it lies in the folder; its reader judges it.
struct SchedulerFile {
  std::string json;
  std::string file;        ///< for messages
  std::string class_name;  ///< as model_index.json has it
};

/// Where a component's weights lie: one file, or an index and its shards.
struct WeightFiles {
  std::vector<std::filesystem::path> files;
  std::filesystem::path index;  ///< empty where there is one file
};

/// A Stable Diffusion model on disk: a folder in the diffusers layout, or a single-file checkpoint
/// of Stable Diffusion 1.x (LDM layout) with a tokenizer from elsewhere. Opening reads the
/// configurations and finds all files; weights are opened one component at a time.
class ModelFolder {
 public:
  /// `model`: a folder, a single file, or a name of the hub (see resolve_model).
  /// Throws InputError(bad_model): all missing parts are named together; pipelines of other
  /// families, pickles and other foreign files are named as what they are.
  static ModelFolder open(const std::string& model, const ModelOptions& options = {});

  /// The pipeline's class in diffusers: "StableDiffusionPipeline" or
  /// "LatentConsistencyModelPipeline".
  [[nodiscard]] const std::string& class_name() const { return class_name_; }
  [[nodiscard]] const ModelConfig& config(Component component) const {
    return configs_.at(component);
  }
  [[nodiscard]] const SchedulerFile& scheduler() const { return scheduler_; }
  [[nodiscard]] const std::filesystem::path& tokenizer_folder() const { return tokenizer_; }
  [[nodiscard]] const WeightFiles& weight_files(Component component) const {
    return weights_.at(component);
  }
  /// Opens and checks a component's files. Throws InputError(bad_model).
  [[nodiscard]] Checkpoint weights(Component component) const;
  /// What the user should know and need not act on, one sentence each: parts that are passed over.
  [[nodiscard]] const std::vector<std::string>& notices() const { return notices_; }

 private:
  friend class ModelFolderReader;
  ModelFolder() = default;

  std::string class_name_;
  std::map<Component, ModelConfig> configs_;
  std::map<Component, WeightFiles> weights_;
  SchedulerFile scheduler_;
  std::filesystem::path tokenizer_;
  std::vector<std::string> notices_;
  std::shared_ptr<const SafetensorsFile> single_file_;
  bool vae_is_from_elsewhere_ = false;
};

}  // namespace diffuse
