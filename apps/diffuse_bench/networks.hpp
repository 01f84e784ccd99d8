#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/io/model_folder.hpp"
#include "core/pipeline/stable_diffusion.hpp"

namespace diffuse::bench {

/// What is measured, in this order:
///   text_encoder   the texts of a batch, negative ones included
///   unet_forward   one step of a batch without guidance: the UNet once per picture
///   guided_step    one step with guidance: twice as many, and the scheduler's row
///   vae_decoder    latents of one picture to 8-bit pixels
const std::vector<std::string>& network_names();

struct NetworkSettings {
  DType dtype = DType::f32;
  int width = 0, height = 0;  ///< pixels; 0: as the model was trained
  int batch_size = 1;
  int steps = 1;  ///< that the step programs can be executed after they were prepared
};

/// The networks of a model folder on one backend as the renderer records them. A network's weights
/// are read when it is first asked for.
class Networks {
 public:
  /// `shapes_only`: no weight is read; for a ShapeBackend. Throws InputError(bad_model) and
  /// ConfigError as the renderer does.
  Networks(const ModelFolder& folder, Backend& backend, NetworkSettings settings, bool shapes_only);
  ~Networks();

  /// The program of one of `network_names()`. Unless `shapes_only`, it has run once on random
  /// inputs, so that its ops can be executed again, all or some of them, in order.
  const Program& program(const std::string& name);

  /// With the sizes of the pictures filled in.
  [[nodiscard]] const NetworkSettings& settings() const { return settings_; }

 private:
  template <class Model, class Config>
  Model load(Component component, const Config& config);
  const Program& text_program();
  const Program& step_program(bool guided);
  const Program& decoder_program();

  const ModelFolder& folder_;
  NetworkSettings settings_;
  bool shapes_only_;
  ClipTokenizer tokenizer_;
  StableDiffusionConfigs configs_;
  std::shared_ptr<const Schedule> schedule_;
  Ops ops_;
  // One arena for each: a program stays where it ran.
  Arena text_arena_, plain_arena_, guided_arena_, decoder_arena_;
  std::optional<ClipTextModel> text_encoder_;
  std::optional<UNet2DConditionModel> unet_;
  std::optional<AutoencoderKlDecoder> decoder_;
  std::optional<TextPhase> text_phase_;
  std::optional<DenoisePhase> plain_phase_, guided_phase_;
  std::optional<DecodePhase> decode_phase_;
};

}  // namespace diffuse::bench
