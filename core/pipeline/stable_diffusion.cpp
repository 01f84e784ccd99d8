#include "core/pipeline/stable_diffusion.hpp"

#include <algorithm>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/pipeline/checkpoint_source.hpp"
#include "core/tensor/shape_backend.hpp"

namespace diffuse {

struct StableDiffusion::Networks {
  std::optional<ClipTextModel> text_encoder;
  std::optional<UNet2DConditionModel> unet;
  AutoencoderKlDecoder vae;
};

bool is_guided(const UNet2DConditionConfig& config, double guidance_scale) {
  return guidance_scale > 1.0 && config.time_cond_proj_dim == 0;
}

namespace {

// Loads one network: a first pass over shapes alone finds all mistakes at once, a second reads the
// weights, in layouts for latents of the `usual` size.
template <class Model, class Config>
Model load_network(WeightSource& source, Ops& ops, const Config& config,
                   const StableDiffusion::PictureSize& usual) {
  ShapeBackend shapes;
  Ops shape_ops(shapes, DType::f32);
  CheckingSource checking(source);
  (void)Model::load(WeightReader(checking, shape_ops), config);
  checking.throw_if_any();
  return Model::load(WeightReader(source, ops).sized(usual.height, usual.width), config);
}

}  // namespace

StableDiffusion::StableDiffusion(const ModelFolder& folder, Backend& backend,
                                 const Settings& settings)
    : StableDiffusion(folder, backend, settings, false) {}

StableDiffusion::StableDiffusion(const ModelFolder& folder, Backend& backend,
                                 const Settings& settings, bool shapes_only)
    : settings_(settings),
      tokenizer_(ClipTokenizer::load(folder.tokenizer_folder())),
      configs_(read_configs(folder, tokenizer_)),
      scheduler_(folder.scheduler()),
      pipeline_class_(folder.class_name()),
      ops_(backend, settings.dtype),
      arena_(backend),
      networks_(std::make_unique<Networks>()) {
  load(folder, shapes_only);
}

StableDiffusion::~StableDiffusion() = default;

void StableDiffusion::load(const ModelFolder& folder, bool shapes_only) {
  const int factor = configs_.vae.scale_factor();
  const PictureSize pixels =
      settings_.usual_size.value_or(PictureSize{configs_.default_size(), configs_.default_size()});
  const PictureSize latents{pixels.height / factor, pixels.width / factor};
  const auto read = [&]<class Model, class Config>(Component component, const Config& config,
                                                   Ops& ops) {
    const PictureSize usual = component == Component::text_encoder ? PictureSize{} : latents;
    CheckpointSource source(folder.weights(component));
    if (shapes_only) {
      ShapeSource shapes(source);
      return Model::load(WeightReader(shapes, ops).sized(usual.height, usual.width), config);
    }
    Model model = load_network<Model>(source, ops, config, usual);
    source.drop_pages();
    return model;
  };
  if (settings_.decoder_backend != nullptr) {
    decoder_ops_.emplace(*settings_.decoder_backend, settings_.dtype);
    decoder_arena_.emplace(*settings_.decoder_backend);
  }
  Ops& decoder_ops = decoder_ops_ ? *decoder_ops_ : ops_;
  networks_->vae =
      read.template operator()<AutoencoderKlDecoder>(Component::vae, configs_.vae, decoder_ops);
  decode_.emplace(decoder_ops, decoder_arena_ ? *decoder_arena_ : arena_, networks_->vae);
  if (settings_.decoder_only) return;
  networks_->text_encoder =
      read.template operator()<ClipTextModel>(Component::text_encoder, configs_.text_encoder, ops_);
  networks_->unet =
      read.template operator()<UNet2DConditionModel>(Component::unet, configs_.unet, ops_);
  text_.emplace(ops_, arena_, *networks_->text_encoder, tokenizer_);
  denoise_.emplace(ops_, arena_, *networks_->unet);
}

template <class Step>
auto StableDiffusion::with_room(const Step& step) {
  try {
    return step();
  } catch (const DeviceError& error) {
    if (!decoder_arena_ || error.code() != ExitCode::no_device) throw;
    log()->warn("no memory for a decoder beside the denoiser: they take turns from here on ({})",
                error.what());
  }
  decoder_arena_.reset();
  decoder_ops_->backend().wait();
  decode_->move_to(ops_, arena_);
  return step();
}

std::shared_ptr<const Schedule> StableDiffusion::schedule_for(const RenderJob& job) {
  const auto key = std::make_tuple(job.scheduler, job.num_inference_steps, job.eta);
  std::shared_ptr<const Schedule>& known = schedules_[key];
  if (!known) {
    const SchedulerConfig config = read_scheduler(scheduler_, pipeline_class_, job.scheduler);
    known = std::make_shared<Schedule>(make_schedule(config, job.num_inference_steps, job.eta));
  }
  return known;
}

std::vector<Latents> StableDiffusion::denoise(std::span<const RenderJob> batch,
                                              const StepObserver& observe) {
  const RenderJob& first = batch.front();
  const bool guided = is_guided(configs_.unet, first.guidance_scale);

  // Encode: negative texts first, then the prompts; clip_skip is for prompts only, as in diffusers.
  std::vector<TextPhase::Request> requests;
  if (guided) {
    for (const RenderJob& job : batch) {
      requests.push_back({job.negative_prompt, 0, job.prompt_weighting});
    }
  }
  const int clip_skip = std::max(first.clip_skip, 0);
  for (const RenderJob& job : batch) {
    requests.push_back({job.prompt, clip_skip, job.prompt_weighting});
  }
  auto texts = text_->encode(requests);

  // Weighted texts may be of several lengths: pictures of equal length go together, so that none
  // depends on its neighbours.
  std::map<std::int64_t, std::vector<std::size_t>> of_length;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (guided) text_->match_lengths(texts[i], 0, texts[batch.size() + i], clip_skip);
    of_length[texts[i]->tokens].push_back(i);
  }
  std::vector<Latents> out(batch.size());
  for (const auto& [tokens, positions] : of_length) {
    std::vector<Latents> some = denoise_texts(batch, texts, positions, observe);
    if (some.empty()) return {};
    for (std::size_t k = 0; k < positions.size(); ++k) out[positions[k]] = std::move(some[k]);
  }
  return out;
}

std::vector<Latents> StableDiffusion::denoise_texts(
    std::span<const RenderJob> batch, std::span<const std::shared_ptr<const Conditioning>> texts,
    std::span<const std::size_t> positions, const StepObserver& observe) {
  const RenderJob& first = batch.front();
  const bool guided = texts.size() > batch.size();
  std::vector<DenoiseJob> jobs;
  for (const std::size_t i : positions) {
    jobs.push_back({.positive = texts[guided ? batch.size() + i : i],
                    .negative = guided ? texts[i] : nullptr,
                    .seed = batch[i].seed,
                    .guidance_scale = batch[i].guidance_scale,
                    .guidance_rescale = batch[i].guidance_rescale});
  }
  const int factor = configs_.vae.scale_factor();
  const DenoiseSettings settings{.height = first.height / factor,
                                 .width = first.width / factor,
                                 .schedule = schedule_for(first),
                                 .noise_source = settings_.noise_source,
                                 .noise_grid = settings_.noise_grid};
  return with_room([&] { return denoise_->run(jobs, settings, observe); });
}

PendingImage StableDiffusion::begin_decode(const Latents& latents, const StepObserver& observe) {
  return with_room([&] { return decode_->begin(latents, observe); });
}

void StableDiffusion::load_shapes(const ModelFolder& folder, Backend& backend,
                                  const Settings& settings) {
  const StableDiffusion model(folder, backend, settings, true);
}

void StableDiffusion::record(const ModelFolder& folder, const RenderJob& job, int pictures,
                             DType dtype, ShapeBackend& shapes,
                             const std::function<void(const Recorded&)>& look) {
  StableDiffusion model(folder, shapes, {.dtype = dtype}, true);
  const int factor = model.configs_.vae.scale_factor();
  const bool guided = is_guided(model.configs_.unet, job.guidance_scale);
  const DenoiseSettings settings{.height = job.height / factor,
                                 .width = job.width / factor,
                                 .schedule = model.schedule_for(job)};
  look({.text = model.text_->program(std::int64_t{guided ? 2 : 1} * pictures,
                                     std::max(job.clip_skip, 0)),
        .step = model.denoise_->step_program(
            pictures, guided, settings, model.tokenizer_.model_max_length(), job.guidance_scale),
        .decode = model.decode_->program(settings.height, settings.width)});
}

MemoryNeed StableDiffusion::need(const ModelFolder& folder, const RenderJob& job, int pictures,
                                 DType dtype, const MemoryUse& use) {
  MemoryNeed need;
  ShapeBackend shapes(use.weights_as_stored);
  const auto add_flops = [](const Program& program, double& flops) {
    for (const Op& op : program.ops()) flops += cost_of(op).flops;
  };
  record(folder, job, pictures, dtype, shapes, [&](const Recorded& recorded) {
    need.weights = shapes.prepared_bytes();
    const std::size_t denoising =
        std::max(recorded.text.arena_bytes(), recorded.step.arena_bytes());
    const std::size_t decoding = recorded.decode.arena_bytes();
    need.arena = use.decoder_beside ? denoising + decoding : std::max(denoising, decoding);
    add_flops(recorded.text, need.encode_flops);
    add_flops(recorded.step, need.step_flops);
    add_flops(recorded.decode, need.decode_flops);
  });
  return need;
}

void StableDiffusion::for_each_op(const ModelFolder& folder, const RenderJob& job, int pictures,
                                  DType dtype, const std::function<void(const Op&)>& visit) {
  ShapeBackend shapes;
  record(folder, job, pictures, dtype, shapes, [&](const Recorded& recorded) {
    for (const Program* program : {&recorded.text, &recorded.step, &recorded.decode}) {
      for (const Op& op : program->ops()) visit(op);
    }
  });
}

}  // namespace diffuse
