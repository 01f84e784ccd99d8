#include "core/io/model_folder.hpp"

#include "io_test_files.hpp"
#include "safetensors_bytes.hpp"

namespace diffuse {
namespace {

namespace fs = std::filesystem;

using test::bad_model_message;
using test::content_of;
using test::put;
using test::TemporaryFolder;

const fs::path kModels = fs::path(DIFFUSE_TEST_DATA) / "models";

/// A copy of a model of the test data that a test may spoil.
struct Model {
  TemporaryFolder folder;
  fs::path path = folder.path() / "model";

  explicit Model(const std::string& name = "tiny_sd1") {
    fs::copy(kModels / name, path, fs::copy_options::recursive);
  }
  std::string refusal(const ModelOptions& options = {}) const {
    return bad_model_message([&] { ModelFolder::open(path.string(), options); });
  }
  /// Replaces a piece of a text file.
  void edit(const std::string& file, const std::string& from, const std::string& to) const {
    std::string text = content_of(path / file);
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    put(path / file, text.replace(at, from.size(), to));
  }
  void move(const std::string& from, const std::string& to) const {
    fs::rename(path / from, path / to);
  }
};

const std::string kUnetFile = "unet/diffusion_pytorch_model.safetensors";

TEST_CASE("folders of old and new programs are opened", "[model_folder]") {
  const auto sd1 = ModelFolder::open((kModels / "tiny_sd1").string());
  CHECK(sd1.class_name() == "StableDiffusionPipeline");
  CHECK(sd1.scheduler().class_name == "PNDMScheduler");
  CHECK(sd1.scheduler().json == content_of(kModels / "tiny_sd1/scheduler/scheduler_config.json"));
  CHECK(sd1.config(Component::unet).json.at("cross_attention_dim") == 20);
  CHECK(sd1.tokenizer_folder() == kModels / "tiny_sd1/tokenizer");
  REQUIRE(sd1.notices().size() == 1);
  CHECK_THAT(sd1.notices()[0], Catch::Contains("safety checker"));
  Checkpoint text = sd1.weights(Component::text_encoder);
  CHECK(text.find("text_model.final_layer_norm.weight") != nullptr);
  CHECK(text.find("text_model.embeddings.position_ids")->dtype == StoredDType::i64);

  // f16, shards, bare CLIP keys, old attention names, tokenizer.json
  const auto sd2 = ModelFolder::open((kModels / "tiny_sd2").string());
  CHECK(sd2.notices().empty());
  CHECK(sd2.weight_files(Component::unet).files.size() == 2);
  Checkpoint unet = sd2.weights(Component::unet);
  CHECK(unet.find("conv_in.weight")->dtype == StoredDType::f16);
  CHECK(unet.find("conv_out.bias") != nullptr);
  CHECK(sd2.weights(Component::vae).find("decoder.mid_block.attentions.0.to_q.weight") != nullptr);
  CHECK(sd2.weights(Component::text_encoder).find("text_model.final_layer_norm.weight") != nullptr);
}

TEST_CASE("all missing parts are named together", "[model_folder]") {
  const Model model;
  fs::remove_all(model.path / "unet");
  fs::remove(model.path / "vae/config.json");
  fs::remove(model.path / "text_encoder/model.safetensors");
  fs::remove(model.path / "tokenizer/merges.txt");
  fs::remove(model.path / "scheduler/scheduler_config.json");
  const std::string message = model.refusal();
  INFO(message);
  for (const char* part :
       {"unet: the folder", "vae/config.json", "text_encoder/model.safetensors",
        "tokenizer: neither", "scheduler_config.json", "as diffusers saves it"}) {
    INFO(part);
    CHECK_THAT(message, Catch::Contains(part));
  }
}

TEST_CASE("folders that are no model are refused with a hint", "[model_folder]") {
  const TemporaryFolder folder;
  const auto refusal = [&](const fs::path& path) {
    return bad_model_message([&] { ModelFolder::open(path.string()); });
  };
  CHECK_THAT(refusal(folder.path()), Catch::Contains("folder is empty"));
  CHECK_THAT(refusal(folder.path() / "none"), Catch::Contains("No such file"));
  CHECK_THAT(refusal(""), Catch::Contains("empty"));
  put(folder.path() / "v1-5.ckpt", "PK\x03\x04 and more");
  CHECK_THAT(refusal(folder.path()), Catch::Contains("v1-5.ckpt"));
  CHECK_THAT(refusal(folder.path() / "v1-5.ckpt"), Catch::Contains("pickle"));
  fs::create_symlink("loop", folder.path() / "loop");
  CHECK_THAT(refusal(folder.path() / "loop"), Catch::Contains("symbolic links"));
}

TEST_CASE("pipelines and components of other kinds are named", "[model_folder]") {
  const std::vector<std::pair<std::string, std::string>> pipelines = {
      {"StableDiffusionXLPipeline", "SDXL"},
      {"FluxPipeline", "Flux"},
      {"StableDiffusion3Pipeline", "Stable Diffusion 3"},
      {"StableDiffusionInpaintPipeline", "inpainting"},
      {"StableDiffusionUpscalePipeline", "take a picture"},
      {"WuerstchenPipeline", "WuerstchenPipeline"}};
  for (const auto& [name, what] : pipelines) {
    const Model model;
    model.edit("model_index.json", "StableDiffusionPipeline", name);
    CHECK_THAT(model.refusal(), Catch::Contains(what) && Catch::Contains("not supported"));
  }
  const std::vector<std::array<std::string, 3>> edits = {
      {"model_index.json", "\"CLIPTextModel\"", "\"T5EncoderModel\""},
      {"model_index.json", "\"AutoencoderKL\"", "\"AutoencoderTiny\""},
      {"model_index.json", "\"AutoencoderKL\"", "null"},
      {"unet/config.json", "\"UNet2DConditionModel\"", "\"UNet3DConditionModel\""},
      {"vae/config.json", "\"AutoencoderKL\"", "\"AsymmetricAutoencoderKL\""}};
  for (const auto& [file, from, to] : edits) {
    const Model model;
    model.edit(file, from, to);
    INFO(to);
    CHECK_THAT(model.refusal(), Catch::Contains(file) && Catch::Contains("is supported"));
  }
  const Model lcm;
  lcm.edit("model_index.json", "StableDiffusionPipeline", "LatentConsistencyModelPipeline");
  CHECK(ModelFolder::open(lcm.path.string()).class_name() == "LatentConsistencyModelPipeline");
}

TEST_CASE("broken configuration files are refused by name", "[model_folder]") {
  for (const char* file :
       {"model_index.json", "unet/config.json", "vae/config.json", "text_encoder/config.json"}) {
    const Model model;
    put(model.path / file, "{\"a\": 1,");
    CHECK_THAT(model.refusal(), Catch::Contains(file) && Catch::Contains("line 1"));
    put(model.path / file, "[]");
    CHECK_THAT(model.refusal(), Catch::Contains(file) && Catch::Contains("array"));
    fs::remove(model.path / file);
    fs::create_directory(model.path / file);
    CHECK_THAT(model.refusal(), Catch::Contains(file) && Catch::Contains("is a folder"));
  }
}

TEST_CASE("siblings in other formats are passed over, but do not stand in", "[model_folder]") {
  const Model model;
  put(model.path / "unet/diffusion_pytorch_model.bin", "PK");
  put(model.path / "unet/model.onnx", "x");
  put(model.path / "v1-5-pruned.ckpt", "PK");
  CHECK_NOTHROW(ModelFolder::open(model.path.string()));
  fs::remove(model.path / kUnetFile);
  CHECK_THAT(model.refusal(), Catch::Contains("only diffusion_pytorch_model.bin") &&
                                  Catch::Contains("save_pretrained"));
}

TEST_CASE("a variant is preferred where it is asked for", "[model_folder]") {
  const Model model;
  CHECK_THAT(model.refusal({.variant = "fp16", .vae = {}, .tokenizer = {}}),
             Catch::Contains("no component has the variant \"fp16\""));
  fs::copy(model.path / kUnetFile, model.path / "unet/diffusion_pytorch_model.fp16.safetensors");
  const auto files = [&](const std::string& variant) {
    const auto opened = ModelFolder::open(model.path.string(), {variant, {}, {}});
    return opened.weight_files(Component::unet).files.front().filename().string();
  };
  CHECK(files("") == "diffusion_pytorch_model.safetensors");
  CHECK(files("fp16") == "diffusion_pytorch_model.fp16.safetensors");
  const auto opened = ModelFolder::open(model.path.string(), {"fp16", {}, {}});
  CHECK_THAT(opened.notices().back(),
             Catch::Contains("\"fp16\" of vae, text_encoder: the plain files are used"));
  fs::remove(model.path / kUnetFile);
  CHECK_THAT(model.refusal(), Catch::Contains("fp16.safetensors") && Catch::Contains("--variant"));
}

TEST_CASE("indices of shards are found under all their names", "[model_folder]") {
  const std::string base = "unet/diffusion_pytorch_model";
  for (const std::string& name :
       {base + ".fp16.safetensors.index.json", base + ".safetensors.index.fp16.json"}) {
    const Model model("tiny_sd2");
    model.move(base + ".safetensors.index.json", name);
    const auto opened = ModelFolder::open(model.path.string(), {"fp16", {}, {}});
    CHECK(opened.weight_files(Component::unet).files.size() == 2);
    CHECK(opened.weights(Component::unet).find("conv_in.weight") != nullptr);
  }
  const Model model("tiny_sd2");
  fs::remove(model.path / (base + "-00002-of-00002.safetensors"));
  CHECK_THAT(model.refusal(), Catch::Contains("00002-of-00002") && Catch::Contains("is missing"));
}

TEST_CASE("VAE and tokenizer may come from elsewhere", "[model_folder]") {
  const Model model;
  fs::remove_all(model.path / "vae");
  fs::remove_all(model.path / "tokenizer");
  const std::string other = (kModels / "tiny_sd2").string();
  for (const std::string& vae : {other, other + "/vae"}) {
    const auto opened = ModelFolder::open(model.path.string(), {"", vae, other});
    CHECK(opened.config(Component::vae).file == other + "/vae/config.json");
    CHECK(opened.tokenizer_folder() == other + "/tokenizer");
    CHECK(opened.weights(Component::vae).where().find("tiny_sd2") != std::string::npos);
  }
  CHECK_THAT(model.refusal({"", (kModels / "tiny_sd2/model_index.json").string(), other}),
             Catch::Contains("--vae"));
}

TEST_CASE("links into another tree are followed, as in the cache of the hub", "[model_folder]") {
  const Model model;
  model.move(kUnetFile, "blob");
  fs::create_symlink("../blob", model.path / kUnetFile);
  CHECK(ModelFolder::open(model.path.string()).weights(Component::unet).find("conv_in.bias"));
  fs::remove(model.path / "blob");
  const auto dangling = ModelFolder::open(model.path.string());
  CHECK_THAT(bad_model_message([&] { (void)dangling.weights(Component::unet); }),
             Catch::Contains("No such file"));
}

/// Sets a variable of the environment for one test.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* const old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { old_.empty() ? ::unsetenv(name_) : ::setenv(name_, old_.c_str(), 1); }

 private:
  const char* name_;
  std::string old_;
};

TEST_CASE("names of the hub are found in its cache, offline", "[hub_cache]") {
  const TemporaryFolder cache;
  const fs::path repo = cache.path() / "hub/models--org--tiny-sd";
  fs::create_directories(repo / "snapshots");
  fs::create_directories(repo / "refs");
  fs::create_directory_symlink(kModels / "tiny_sd1", repo / "snapshots/0123abcd");
  put(repo / "refs/main", "0123abcd\n");
  const auto refusal = [](const std::string& name) {
    return bad_model_message([&] { ModelFolder::open(name); });
  };
  const Environment no_cache("HF_HUB_CACHE", "");
  const Environment no_old_cache("HUGGINGFACE_HUB_CACHE", "");
  {
    const Environment home("HF_HOME", cache.path().string());
    CHECK(ModelFolder::open("org/tiny-sd").class_name() == "StableDiffusionPipeline");
    CHECK_THAT(refusal("org/other"),
               Catch::Contains("not in the cache") && Catch::Contains("hf download org/other"));
    for (const char* name : {"../tiny-sd", "org/..", "org/tiny/sd", "tiny-sd"}) {
      CHECK_THAT(refusal(name), Catch::Contains("no such model folder or file"));
    }
    put(repo / "refs/main", "../../../models");
    CHECK_THAT(refusal("org/tiny-sd"), Catch::Contains("no snapshot"));
    put(repo / "refs/main", "");
    CHECK_THAT(refusal("org/tiny-sd"), Catch::Contains("no snapshot"));
    put(repo / "refs/main", "0123abcd");
  }
  {
    const Environment home("HF_HOME", "");
    const Environment xdg("XDG_CACHE_HOME", "");
    const Environment user("HOME", (cache.path() / "user").string());
    CHECK_THAT(refusal("org/tiny-sd"), Catch::Contains("user/.cache/huggingface/hub"));
    const Environment hub("HF_HUB_CACHE", (cache.path() / "hub").string());
    CHECK_NOTHROW(ModelFolder::open("org/tiny-sd"));
  }
}

}  // namespace
}  // namespace diffuse
