#include "apps/diffuse_bench/networks.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"
#include "core/pipeline/checkpoint_source.hpp"

namespace diffuse::bench {
namespace {

constexpr double kGuidanceScale = 7.5;

std::vector<float> normals(std::uint64_t seed, std::int64_t count) {
  return make_noise_generator(NoiseSource::cpu, seed)->normals(static_cast<std::size_t>(count));
}

std::shared_ptr<const Conditioning> random_conditioning(std::uint64_t seed, std::int64_t tokens,
                                                        std::int64_t width) {
  auto text = std::make_shared<Conditioning>();
  text->tokens = tokens;
  text->width = width;
  text->sequence = normals(seed, tokens * width);
  return text;
}

}  // namespace

const std::vector<std::string>& network_names() {
  static const std::vector<std::string> names{"text_encoder", "unet_forward", "guided_step",
                                              "vae_decoder"};
  return names;
}

Networks::Networks(const ModelFolder& folder, Backend& backend, NetworkSettings settings,
                   bool shapes_only)
    : folder_(folder),
      settings_(settings),
      shapes_only_(shapes_only),
      tokenizer_(ClipTokenizer::load(folder.tokenizer_folder())),
      configs_(read_configs(folder, tokenizer_)),
      ops_(backend, settings.dtype),
      text_arena_(backend),
      plain_arena_(backend),
      guided_arena_(backend),
      decoder_arena_(backend) {
  const int factor = configs_.vae.scale_factor();
  for (int* side : {&settings_.width, &settings_.height}) {
    if (*side == 0) *side = configs_.default_size();
    if (*side % factor != 0) {
      throw ConfigError("width and height must be multiples of " + std::to_string(factor) +
                        ", the factor of this model's autoencoder; " + std::to_string(*side) +
                        " is none");
    }
  }
  const SchedulerConfig scheduler = read_scheduler(folder.scheduler(), folder.class_name(), "");
  schedule_ = std::make_shared<Schedule>(make_schedule(scheduler, settings_.steps + 2, 0));
}

Networks::~Networks() = default;

template <class Model, class Config>
Model Networks::load(Component component, const Config& config) {
  const auto reader = [&](WeightSource& source) {
    const WeightReader root(source, ops_);
    const int factor = configs_.vae.scale_factor();
    return component == Component::text_encoder
               ? root
               : root.sized(settings_.height / factor, settings_.width / factor);
  };
  if (shapes_only_) {
    ShapeSource shapes;
    return Model::load(reader(shapes), config);
  }
  CheckpointSource source(folder_.weights(component));
  Model model = Model::load(reader(source), config);
  source.drop_pages();
  return model;
}

const Program& Networks::program(const std::string& name) {
  if (name == "text_encoder") return text_program();
  if (name == "unet_forward") return step_program(false);
  if (name == "guided_step") return step_program(true);
  if (name == "vae_decoder") return decoder_program();
  throw ConfigError("unknown network \"" + name + "\"");
}

const Program& Networks::text_program() {
  if (!text_encoder_) {
    text_encoder_ = load<ClipTextModel>(Component::text_encoder, configs_.text_encoder);
    text_phase_.emplace(ops_, text_arena_, *text_encoder_, tokenizer_);
  }
  const int texts = 2 * settings_.batch_size;
  if (!shapes_only_) {
    std::vector<TextPhase::Request> requests;
    requests.reserve(static_cast<std::size_t>(texts));
    for (int i = 0; i < texts; ++i) requests.push_back({"a picture, number " + std::to_string(i)});
    text_phase_->encode(requests);
  }
  return text_phase_->program(texts, 0);
}

const Program& Networks::step_program(bool guided) {
  if (!unet_) unet_ = load<UNet2DConditionModel>(Component::unet, configs_.unet);
  auto& phase = guided ? guided_phase_ : plain_phase_;
  if (!phase) phase.emplace(ops_, guided ? guided_arena_ : plain_arena_, *unet_);
  const int factor = configs_.vae.scale_factor();
  const DenoiseSettings settings{.height = settings_.height / factor,
                                 .width = settings_.width / factor,
                                 .schedule = schedule_};
  const std::int64_t tokens = tokenizer_.model_max_length();
  if (!shapes_only_) {
    const std::int64_t width = configs_.unet.cross_attention_dim.front();
    std::vector<DenoiseJob> jobs;
    for (int i = 0; i < settings_.batch_size; ++i) {
      const auto seed = static_cast<std::uint64_t>(i);
      jobs.push_back(
          {.positive = random_conditioning(2 * seed, tokens, width),
           .negative = guided ? random_conditioning(2 * seed + 1, tokens, width) : nullptr,
           .seed = seed,
           .guidance_scale = kGuidanceScale});
    }
    // The first step only: the measured ones go on from there.
    phase->run(jobs, settings, [](int step, int) { return step < 1; });
  }
  return phase->step_program(settings_.batch_size, guided, settings, tokens, kGuidanceScale);
}

const Program& Networks::decoder_program() {
  if (!decoder_) {
    decoder_ = load<AutoencoderKlDecoder>(Component::vae, configs_.vae);
    decode_phase_.emplace(ops_, decoder_arena_, *decoder_);
  }
  const int factor = configs_.vae.scale_factor();
  Latents latents{
      {}, configs_.vae.latent_channels, settings_.height / factor, settings_.width / factor};
  if (!shapes_only_) {
    latents.values = normals(0, latents.channels * latents.height * latents.width);
    static_cast<void>(decode_phase_->begin(latents, {}).take());
  }
  return decode_phase_->program(latents.height, latents.width);
}

}  // namespace diffuse::bench
