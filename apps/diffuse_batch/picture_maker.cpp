#include "apps/diffuse_batch/picture_maker.hpp"

#include "apps/diffuse_batch/null_device.hpp"
#include "apps/diffuse_batch/stoppable_backend.hpp"

namespace diffuse {
namespace {

class ModelPictureMaker final : public PictureMaker {
 public:
  explicit ModelPictureMaker(const Preparation& prepared)
      : backend_(prepared.tracing ? *prepared.tracing : *prepared.backend),
        beside_(decodes_beside(prepared.settings) ? prepared.backend->beside() : nullptr),
        model_(*prepared.folder, backend_, settings_of(prepared)) {}

  std::vector<Latents> denoise(std::span<const RenderJob> batch,
                               const StepObserver& between) override {
    return model_.denoise(batch, between);
  }

  PendingImage begin_decode(const Latents& latents, const StepObserver& between) override {
    return model_.begin_decode(latents, between);
  }

  [[nodiscard]] CutPrompt cut_from(const RenderJob& job) const override {
    const ClipTokenizer& tokenizer = model_.tokenizer();
    if (job.prompt_weighting) {
      const int limit = static_cast<int>(kMaxChunks) * (tokenizer.model_max_length() - 2);
      return {weighted_tokens(tokenizer, job.prompt).cut_text, limit};
    }
    const Tokens tokens = tokenizer.encode(job.prompt);
    return {tokens.truncated ? tokens.cut_text : std::string(), tokenizer.model_max_length() - 2};
  }

  [[nodiscard]] std::size_t peak_device_bytes() const override { return backend_.peak_bytes(); }

 private:
  StableDiffusion::Settings settings_of(const Preparation& prepared) {
    StableDiffusion::Settings settings = model_settings(prepared.settings);
    if (beside_) settings.decoder_backend = &decoder_.emplace(*beside_);
    return settings;
  }

  StoppableBackend backend_;
  std::unique_ptr<Backend> beside_;
  std::optional<StoppableBackend> decoder_;
  StableDiffusion model_;
};

}  // namespace

StableDiffusion::Settings model_settings(const RunSettings& settings) {
  const Options& o = settings.options;
  std::optional<StableDiffusion::PictureSize> usual_size;
  if (o.height && o.width) usual_size = {.height = *o.height, .width = *o.width};
  return {.dtype = settings.dtype,
          .noise_source = o.noise_source == "cuda" ? NoiseSource::cuda : NoiseSource::cpu,
          .noise_grid = o.noise_grid,
          .decoder_only = o.input_type == "latent",
          .usual_size = usual_size};
}

bool decodes_beside(const RunSettings& settings) {
  const Options& o = settings.options;
  return settings.device == "cuda" && o.input_type == "prompts" && o.output_type == "png" &&
         o.memory == "full" && !o.profile;
}

std::unique_ptr<PictureMaker> make_picture_maker(const Preparation& prepared) {
  if (!prepared.backend) return make_null_picture_maker(prepared);
  return std::make_unique<ModelPictureMaker>(prepared);
}

}  // namespace diffuse
