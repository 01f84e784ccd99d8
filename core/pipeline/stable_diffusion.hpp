#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "core/io/model_folder.hpp"
#include "core/pipeline/decode_phase.hpp"
#include "core/pipeline/denoise_phase.hpp"
#include "core/pipeline/render_job.hpp"
#include "core/pipeline/text_phase.hpp"

namespace diffuse {

/// What the configuration files of a Stable Diffusion folder say, read and judged before any
/// weight.
struct StableDiffusionConfigs {
  ClipTextConfig text_encoder;
  UNet2DConditionConfig unet;
  AutoencoderKlConfig vae;

  /// Side of the usual picture, in pixels.
  [[nodiscard]] int default_size() const { return unet.sample_size * vae.scale_factor(); }
};

/// Throws InputError(bad_model) naming file and key for values that are malformed or not supported,
/// and for components that do not fit each other.
StableDiffusionConfigs read_configs(const ModelFolder& folder, const ClipTokenizer& tokenizer);

/// The scheduler of the folder, or what `from_config` makes of it for the scheduler named `flag`.
SchedulerConfig read_scheduler(const SchedulerFile& file, const std::string& pipeline_class,
                               const std::string& flag);

/// Bytes that a run on these shapes needs, computed from shapes alone.
struct MemoryNeed {
  std::size_t weights = 0;
  std::size_t arena = 0;  ///< of all that exist at once
  double step_flops = 0, decode_flops = 0, encode_flops = 0;
};

class ShapeBackend;

/// Stable Diffusion 1.x and 2.x: the three networks and the three phases on one device.
class StableDiffusion {
 public:
  struct PictureSize {
    int height = 0, width = 0;
  };
  struct Settings {
    DType dtype = DType::f32;
    NoiseSource noise_source = NoiseSource::cpu;
    std::optional<std::uint64_t> noise_grid{};
    bool decoder_only = false;  ///< for lists of latents: the other networks are not read
    /// What stands beside the backend (Backend::beside): pictures are decoded there while the next
    /// batch is denoised, in an arena of their own. Null: on the backend, in turn.
    Backend* decoder_backend = nullptr;
    /// Pixels of most pictures: a hint for the layout of weights. None: the model's own.
    std::optional<PictureSize> usual_size{};
  };

  /// Reads the weights. Throws InputError(bad_model), naming all missing or mis-shaped weights of a
  /// component.
  StableDiffusion(const ModelFolder& folder, Backend& backend, const Settings& settings);
  ~StableDiffusion();

  /// Latents of a batch of jobs with equal settings (`make_batches`). Empty if `observe` asked to
  /// stop.
  std::vector<Latents> denoise(std::span<const RenderJob> batch, const StepObserver& observe);
  /// Begins to make the pixels of one picture; dropped if `observe` asked to stop. Also between the
  /// steps of denoise(), from its observer.
  [[nodiscard]] PendingImage begin_decode(const Latents& latents, const StepObserver& observe);

  [[nodiscard]] const ClipTokenizer& tokenizer() const { return tokenizer_; }
  [[nodiscard]] const StableDiffusionConfigs& configs() const { return configs_; }

  /// How a device uses its memory.
  struct MemoryUse {
    bool decoder_beside = false;     ///< there is a decoder_backend
    bool weights_as_stored = false;  ///< see ShapeBackend
  };
  /// Costs of rendering batches of `pictures` jobs like `job`; nothing is loaded.
  static MemoryNeed need(const ModelFolder& folder, const RenderJob& job, int pictures, DType dtype,
                         const MemoryUse& use);
  /// Calls `visit` for the ops of encoding, of a step and of decoding of such a batch; nothing is
  /// loaded, and the operands lie nowhere.
  static void for_each_op(const ModelFolder& folder, const RenderJob& job, int pictures,
                          DType dtype, const std::function<void(const Op&)>& visit);

  /// Loads a model without its weights: `backend` is asked to prepare what it would be asked for by
  /// a model that is, in the same order. For a backend whose weights are only counted.
  static void load_shapes(const ModelFolder& folder, Backend& backend, const Settings& settings);

 private:
  struct Networks;
  /// Programs of a model without weights.
  struct Recorded {
    const Program& text;
    const Program& step;
    const Program& decode;
  };
  static void record(const ModelFolder& folder, const RenderJob& job, int pictures, DType dtype,
                     ShapeBackend& shapes, const std::function<void(const Recorded&)>& look);
  StableDiffusion(const ModelFolder& folder, Backend& backend, const Settings& settings,
                  bool shapes_only);
  void load(const ModelFolder& folder, bool shapes_only);
  std::shared_ptr<const Schedule> schedule_for(const RenderJob& job);
  /// Of the pictures at `positions`, whose texts are equally long; `texts` are all negative ones,
  /// if there are any, then all positive ones.
  std::vector<Latents> denoise_texts(std::span<const RenderJob> batch,
                                     std::span<const std::shared_ptr<const Conditioning>> texts,
                                     std::span<const std::size_t> positions,
                                     const StepObserver& observe);

  /// Performs `step`; where memory is short, once more without a decoder beside the denoiser.
  template <class Step>
  auto with_room(const Step& step);

  Settings settings_;
  ClipTokenizer tokenizer_;
  StableDiffusionConfigs configs_;
  SchedulerFile scheduler_;
  std::string pipeline_class_;
  Ops ops_;
  Arena arena_;
  std::optional<Ops> decoder_ops_;
  std::optional<Arena> decoder_arena_;  ///< while pictures are decoded beside the denoising
  std::unique_ptr<Networks> networks_;
  std::optional<TextPhase> text_;
  std::optional<DenoisePhase> denoise_;
  std::optional<DecodePhase> decode_;
  std::map<std::tuple<std::string, int, double>, std::shared_ptr<const Schedule>> schedules_;
};

/// The guided half is rendered for guidance_scale > 1, unless the model takes the scale as an
/// input.
bool is_guided(const UNet2DConditionConfig& config, double guidance_scale);

}  // namespace diffuse
