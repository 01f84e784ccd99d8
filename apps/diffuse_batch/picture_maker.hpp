#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/diffuse_batch/preparation.hpp"
#include "core/pipeline/phases.hpp"
#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// Makes pictures of jobs: a model on a device, or a stand-in that shows everything around it.
class PictureMaker {
 public:
  PictureMaker() = default;
  PictureMaker(const PictureMaker&) = delete;
  PictureMaker& operator=(const PictureMaker&) = delete;
  virtual ~PictureMaker() = default;

  /// Latents of a batch of jobs with equal settings (make_batches), in its order; none if `between`
  /// asked to stop. `between` is called often enough that a stop takes effect within a second.
  virtual std::vector<Latents> denoise(std::span<const RenderJob> batch,
                                       const StepObserver& between) = 0;

  /// Begins to make the pixels of one picture: they are there at once, or come while later calls
  /// are at work. Dropped if `between` asked to stop. Also between the steps of denoise(), from its
  /// observer.
  [[nodiscard]] virtual PendingImage begin_decode(const Latents& latents,
                                                  const StepObserver& between) = 0;

  /// What of a prompt is not rendered, because the model reads no more than `limit` tokens.
  struct CutPrompt {
    std::string text;  ///< empty: nothing was cut
    int limit = 0;
  };
  [[nodiscard]] virtual CutPrompt cut_from(const RenderJob& job) const = 0;

  /// Most bytes of a GPU's memory in use at a time; 0 where there is none.
  [[nodiscard]] virtual std::size_t peak_device_bytes() const { return 0; }
};

/// What a run's settings say to the model.
StableDiffusion::Settings model_settings(const RunSettings& settings);

/// Whether this run decodes pictures beside the denoising of the next batch, if its device can. Not
/// with --memory lean, for which one arena is enough, nor with --profile: an op's time would be
/// that of others, too.
bool decodes_beside(const RunSettings& settings);

/// Loads what `prepared` names; a stand-in where it has no device. Throws InputError(bad_model).
std::unique_ptr<PictureMaker> make_picture_maker(const Preparation& prepared);

}  // namespace diffuse
