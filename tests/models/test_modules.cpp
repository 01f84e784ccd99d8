// The three networks against diffusers and transformers, module by module, f32 on the CPU backend.
// Goldens: scripts/reference/make_module_goldens.py.

#include <catch2/catch.hpp>

#include "core/pipeline/checkpoint_source.hpp"
#include "core/pipeline/stable_diffusion.hpp"
#include "core/tensor/program.hpp"
#include "kernels/make_backend.hpp"
#include "tests/models/module_goldens.hpp"
#include "tests/support/compare.hpp"

using namespace diffuse;
using test::channels_last;
using test::Goldens;

namespace {

// Two correct f32 programs differ by a few 1e-6 of the largest value after one network.
constexpr double kTolerance = 1e-5;
// tiny_lcm's autoencoder has groups of one channel, which makes it sensitive: diffusers' own f32
// is 1.3e-5 from its f64 there (0.6e-5 at most elsewhere).
constexpr double kDecoderTolerance = 3e-5;

struct Model {
  explicit Model(const std::string& name)
      : folder(ModelFolder::open(test::data_path("models/" + name).string())),
        tokenizer(ClipTokenizer::load(folder.tokenizer_folder())),
        configs(read_configs(folder, tokenizer)),
        backend(make_backend("cpu", {})),
        ops(*backend, DType::f32),
        goldens("modules_" + name + ".safetensors") {}

  ModelFolder folder;
  ClipTokenizer tokenizer;
  StableDiffusionConfigs configs;
  std::unique_ptr<Backend> backend;
  Ops ops;
  Goldens goldens;
};

void check_close(const std::vector<float>& got, const std::vector<float>& want,
                 double tolerance = kTolerance) {
  double largest = 0;
  for (const float value : want) largest = std::max(largest, std::abs(static_cast<double>(value)));
  const auto result = test::compare(std::span(got), std::span(want), tolerance * largest, 0);
  INFO(result.what);
  CHECK(result.ok);
}

}  // namespace

TEST_CASE("CLIP text encoder equals transformers") {
  const std::string name = GENERATE("tiny_sd1", "tiny_sd2", "tiny_lcm");
  CAPTURE(name);
  Model m(name);
  CheckpointSource source(m.folder.weights(Component::text_encoder));
  const auto model = ClipTextModel::load(WeightReader(source, m.ops), m.configs.text_encoder);
  const auto shape = m.goldens.shape("text.input_ids");
  const Tensor ids =
      m.ops.upload(m.goldens.values<std::int32_t>("text.input_ids"), {shape[0], shape[1]});
  for (const int clip_skip : {0, 1, 2}) {
    CAPTURE(clip_skip);
    check_close(m.ops.download(model.forward(m.ops, ids, clip_skip)),
                m.goldens.values("text.clip_skip_" + std::to_string(clip_skip)));
  }
}

TEST_CASE("UNet2DConditionModel equals diffusers") {
  const std::string name = GENERATE("tiny_sd1", "tiny_sd2", "tiny_lcm");
  const std::string which = GENERATE("square", "odd", "small");
  CAPTURE(name, which);
  Model m(name);
  CheckpointSource source(m.folder.weights(Component::unet));
  const auto model = UNet2DConditionModel::load(WeightReader(source, m.ops), m.configs.unet);
  const std::string key = "unet." + which + ".";
  const auto shape = m.goldens.shape(key + "sample");
  const Shape one{1, shape[2], shape[3], shape[1]};
  const auto sample = channels_last(m.goldens.values(key + "sample"), shape);
  const auto want = channels_last(m.goldens.values(key + "noise_pred"), shape);
  const auto timesteps = m.goldens.values(key + "timestep");
  const auto text_shape = m.goldens.shape(key + "encoder_hidden_states");
  const auto text = m.goldens.values(key + "encoder_hidden_states");
  const auto cond = m.goldens.has(key + "timestep_cond") ? m.goldens.values(key + "timestep_cond")
                                                         : std::vector<float>{};
  const std::size_t width = cond.size() / 2;

  // One entry at a time: our batches share the timestep.
  for (std::size_t i = 0; i < 2; ++i) {
    CAPTURE(i);
    const std::size_t each = sample.size() / 2;
    const std::size_t text_each = text.size() / 2;
    const std::vector<double> steps{static_cast<double>(timesteps[1 - i]),
                                    static_cast<double>(timesteps[i])};
    const StepTables tables =
        model.step_tables(m.ops, steps, std::span(cond).subspan(i * width, width));
    const Tensor step = m.ops.upload(std::vector<std::int32_t>{1}, {1});
    const auto key_values =
        model.key_values(m.ops, m.ops.upload(std::span(text).subspan(i * text_each, text_each),
                                             {1, text_shape[1], text_shape[2]}));
    const Tensor x = m.ops.upload(std::span(sample).subspan(i * each, each), one);
    const auto got = m.ops.download(model.forward(m.ops, x, {tables, step, key_values}));
    const auto begin = want.begin() + static_cast<std::ptrdiff_t>(i * each);
    check_close(got, {begin, begin + static_cast<std::ptrdiff_t>(each)});
  }
}

TEST_CASE("AutoencoderKL's decoder equals diffusers") {
  const std::string name = GENERATE("tiny_sd1", "tiny_sd2", "tiny_lcm");
  const std::string which = GENERATE("square", "odd");
  CAPTURE(name, which);
  Model m(name);
  CheckpointSource source(m.folder.weights(Component::vae));
  const auto model = AutoencoderKlDecoder::load(WeightReader(source, m.ops), m.configs.vae);
  const std::string key = "vae." + which + ".";
  const auto shape = m.goldens.shape(key + "latents");
  const Tensor latents = m.ops.upload(channels_last(m.goldens.values(key + "latents"), shape),
                                      {shape[0], shape[2], shape[3], shape[1]});
  check_close(m.ops.download(model.forward(m.ops, latents)),
              channels_last(m.goldens.values(key + "image"), m.goldens.shape(key + "image")),
              kDecoderTolerance);
}
