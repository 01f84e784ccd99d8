#include "core/pipeline/decode_phase.hpp"

namespace diffuse {

DecodePhase::DecodePhase(Ops& ops, Arena& arena, const AutoencoderKlDecoder& model)
    : ops_(&ops), arena_(&arena), model_(model) {
  factors_ = ops_->upload(std::vector<float>{1.0F / model.config().scaling_factor}, {1});
  step_ = ops_->upload(std::vector<std::int32_t>{0}, {1});
}

DecodePhase::Recording& DecodePhase::recording(std::int64_t height, std::int64_t width) {
  const auto key = std::make_pair(height, width);
  if (const auto found = recordings_.find(key); found != recordings_.end()) return found->second;
  const AutoencoderKlConfig& config = model_.config();
  const std::int64_t factor = config.scale_factor();
  const Tensor latents = ops_->make(DType::f32, {1, height, width, config.latent_channels});
  const Tensor pixels =
      ops_->make(DType::u8, {1, factor * height, factor * width, config.out_channels});
  Program program = Program::record(*ops_, [&] {
    const Tensor unscaled = ops_->scale_input(latents, factors_, step_, 1);
    ops_->pixels(model_.forward(*ops_, unscaled), pixels);
  });
  return recordings_.emplace(key, Recording{latents, pixels, std::move(program)}).first->second;
}

const Program& DecodePhase::program(std::int64_t height, std::int64_t width) {
  return recording(height, width).program;
}

PendingImage DecodePhase::begin(const Latents& latents, const StepObserver& observe) {
  Recording& r = recording(latents.height, latents.width);
  const std::size_t pixels = static_cast<std::size_t>(latents.height * latents.width);
  const auto channels = static_cast<std::size_t>(latents.channels);
  std::vector<float> channels_last(latents.values.size());
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t p = 0; p < pixels; ++p) {
      channels_last[p * channels + c] = latents.values[c * pixels + p];
    }
  }
  ops_->write(channels_last, r.latents);
  const auto range = ops_->range("decoding");
  const auto go_on = [&](std::size_t) { return !observe || observe(0, 1); };
  if (!r.program.run(ops_->backend(), *arena_, go_on)) return {};
  const Shape& shape = r.pixels.shape();
  return {static_cast<int>(shape[2]), static_cast<int>(shape[1]), ops_->begin_download(r.pixels)};
}

void DecodePhase::move_to(Ops& ops, Arena& arena) {
  ops_ = &ops;
  arena_ = &arena;
}

}  // namespace diffuse
