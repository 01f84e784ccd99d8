#include "core/io/model_folder_reader.hpp"

#include <algorithm>
#include <utility>

#include "core/base/json_file.hpp"
#include "core/base/text.hpp"
#include "core/io/hub_cache.hpp"
#include "core/io/ldm_layout.hpp"
#include "core/io/model_folder_weights.hpp"

namespace diffuse {
namespace {

namespace fs = std::filesystem;

constexpr Component kComponents[] = {Component::unet, Component::vae, Component::text_encoder};
constexpr const char* kLayout =
    " (a model folder holds model_index.json, unet/, vae/, text_encoder/, tokenizer/ and "
    "scheduler/, as diffusers saves it)";

std::string shown(const fs::path& path) { return "'" + printable(path.string(), 1000) + "'"; }

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

std::string text_at(const nlohmann::json& object, const std::string& key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Why a pipeline's class cannot be run.
std::string foreign_pipeline(const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  const std::string is = "is a model for " + printable(name);
  if (has("XL")) return is + " (SDXL), which is not supported";
  if (has("Flux")) return is + " (Flux), which is not supported";
  if (has("StableDiffusion3")) return is + " (Stable Diffusion 3), which is not supported";
  if (has("Inpaint")) return is + ": inpainting is not supported";
  if (has("Img2Img") || has("Upscale") || has("Pix2Pix") || has("Depth")) {
    return is + ": models that take a picture are not supported";
  }
  return is + ", which is not supported";
}

/// A folder that the user names for one part: itself, or its subfolder of that part.
fs::path part_folder(const std::string& name, const char* part) {
  const fs::path folder = resolve_model(name);
  return is_folder(folder / part) ? folder / part : folder;
}

}  // namespace

ModelFolder ModelFolderReader::read() {
  if (is_folder(path_)) {
    read_folder();
  } else {
    read_single_file();
  }
  throw_if_missing();
  note_variants();
  return std::move(model_);
}

void ModelFolderReader::throw_if_missing() const {
  if (missing_.empty()) return;
  std::string all;
  for (const std::string& part : missing_) all += (all.empty() ? "" : "; ") + part;
  refuse_file(path_, "the model is not whole: " + all + (is_folder(path_) ? kLayout : ""));
}

void ModelFolderReader::note_variants() {
  if (options_.variant.empty() || without_variant_.empty()) return;
  std::string names;
  for (const std::string& name : without_variant_) names += (names.empty() ? "" : ", ") + name;
  const std::string variant = "variant \"" + printable(options_.variant) + "\"";
  if (with_variant_ == 0) {
    refuse_file(path_, "no component has the " + variant + " (leave --variant out)");
  }
  model_.notices_.push_back("no " + variant + " of " + names + ": the plain files are used");
}

void ModelFolderReader::read_folder() {
  read_model_index();
  read_scheduler();
  for (const Component component : kComponents) {
    if (component == Component::vae && !options_.vae.empty()) {
      read_vae_from_elsewhere();
    } else {
      read_component(component, path_ / name_of(component));
    }
  }
  read_tokenizer(path_ / "tokenizer");
}

void ModelFolderReader::read_model_index() {
  const fs::path file = path_ / "model_index.json";
  if (!is_there(file)) {
    std::error_code error;
    std::string hint;
    if (fs::is_empty(path_, error)) hint = "the folder is empty";
    for (const char* ending : {".safetensors", ".ckpt"}) {
      const auto names = files_ending(path_, ending);
      if (hint.empty() && !names.empty()) {
        hint = "there is " + printable(names.front()) + ": name a single-file checkpoint itself";
      }
    }
    refuse_file(file, "is missing" + (hint.empty() ? "" : "; " + hint) + kLayout);
  }
  const nlohmann::json index = read_json_object(file);
  model_.class_name_ = text_at(index, "_class_name");
  if (model_.class_name_ != "StableDiffusionPipeline" &&
      model_.class_name_ != "LatentConsistencyModelPipeline") {
    refuse_file(file, model_.class_name_.empty()
                          ? "does not say which pipeline the model is for (\"_class_name\")"
                          : foreign_pipeline(model_.class_name_));
  }
  check_class(index, "unet", {"UNet2DConditionModel"});
  if (options_.vae.empty()) check_class(index, "vae", {"AutoencoderKL"});
  check_class(index, "text_encoder", {"CLIPTextModel"});
  check_class(index, "tokenizer", {"CLIPTokenizer", "CLIPTokenizerFast"});

  for (const auto& [part, value] : index.items()) {
    const bool is_part = value.is_array() && value.size() == 2 && value[1].is_string();
    if (part == "scheduler" && is_part) {
      model_.scheduler_.class_name = value[1].get<std::string>();
    } else if (part == "safety_checker" && is_part) {
      model_.notices_.emplace_back(
          "the model's safety checker is passed over: pictures are not "
          "checked");
    } else if (part == "image_encoder" && is_part) {
      model_.notices_.emplace_back("the model's image encoder is passed over");
    }
  }
}

void ModelFolderReader::check_class(const nlohmann::json& index, const std::string& part,
                                    const std::vector<std::string>& classes) {
  const auto entry = index.find(part);
  if (entry == index.end() || entry->is_null()) return;  // its folder decides
  const bool is_pair = entry->is_array() && entry->size() == 2;
  const nlohmann::json name = is_pair ? (*entry)[1] : nlohmann::json();
  if (name.is_string() &&
      std::find(classes.begin(), classes.end(), name.get<std::string>()) != classes.end()) {
    return;
  }
  refuse_file(path_ / "model_index.json", "\"" + part + "\" is " + printable(entry->dump()) +
                                              ", but only " + classes.front() + " is supported");
}

void ModelFolderReader::read_scheduler() {
  const fs::path file = path_ / "scheduler" / "scheduler_config.json";
  if (!is_there(file)) {
    missing_.push_back("scheduler: " + shown(file) + " is missing");
    return;
  }
  model_.scheduler_.json = read_text_file(file, JsonLimits{}.max_bytes);
  model_.scheduler_.file = file.string();
}

void ModelFolderReader::read_component(Component component, const fs::path& folder) {
  const std::string part = std::string(name_of(component)) + ": ";
  if (!is_folder(folder)) {
    missing_.push_back(part + "the folder " + shown(folder) + " is missing");
    return;
  }
  const fs::path file = folder / "config.json";
  if (!is_there(file)) {
    missing_.push_back(part + shown(file) + " is missing");
  } else {
    ModelConfig config{read_json_object(file), file.string()};
    const std::string name = text_at(config.json, "_class_name");
    const std::string wanted =
        component == Component::vae ? "AutoencoderKL" : "UNet2DConditionModel";
    if (component != Component::text_encoder && !name.empty() && name != wanted) {
      refuse_file(file, "\"_class_name\" is \"" + printable(name) + "\", but only " + wanted +
                            " is supported");
    }
    model_.configs_[component] = std::move(config);
  }

  FoundWeights found = find_weights(folder, component, options_.variant);
  if (!found.files) {
    missing_.push_back(part + found.problem);
    return;
  }
  model_.weights_[component] = std::move(*found.files);
  if (options_.variant.empty()) return;
  if (found.is_variant) {
    ++with_variant_;
  } else {
    without_variant_.emplace_back(name_of(component));
  }
}

void ModelFolderReader::read_vae_from_elsewhere() {
  const fs::path folder = part_folder(options_.vae, "vae");
  if (!is_folder(folder)) {
    refuse_file(folder,
                "is given with --vae, but is no folder (a VAE in the diffusers layout is a "
                "folder with config.json and diffusion_pytorch_model.safetensors)");
  }
  model_.vae_is_from_elsewhere_ = true;
  read_component(Component::vae, folder);
}

void ModelFolderReader::read_tokenizer(const fs::path& usual_folder) {
  model_.tokenizer_ =
      options_.tokenizer.empty() ? usual_folder : part_folder(options_.tokenizer, "tokenizer");
  if (!holds_tokenizer(model_.tokenizer_)) {
    missing_.push_back("tokenizer: neither tokenizer.json nor vocab.json and merges.txt in " +
                       shown(model_.tokenizer_));
  }
}

void ModelFolderReader::read_single_file() {
  const auto file = std::make_shared<SafetensorsFile>(SafetensorsFile::open(path_));
  check_is_sd1(*file, options_.vae.empty());
  model_.single_file_ = file;
  model_.class_name_ = "StableDiffusionPipeline";
  const std::string where = path_.string() + " (configuration of Stable Diffusion 1.x)";
  model_.scheduler_ = {sd1_scheduler_config(), where, "PNDMScheduler"};
  for (const Component component : kComponents) {
    if (component == Component::vae && !options_.vae.empty()) {
      read_vae_from_elsewhere();
      continue;
    }
    model_.configs_[component] = {sd1_config(*file, component), where};
    model_.weights_[component] = {{path_}, {}};
  }
  if (options_.tokenizer.empty()) {
    missing_.emplace_back(
        "a single-file checkpoint holds no tokenizer: name the tokenizer folder of any SD 1.x "
        "model with --tokenizer");
  } else {
    read_tokenizer({});
  }
}

}  // namespace diffuse
