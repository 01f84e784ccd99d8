#pragma once

#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/base/rng.hpp"
#include "core/models/unet_2d_condition/unet_2d_condition_model.hpp"
#include "core/pipeline/phases.hpp"
#include "core/schedulers/scheduler.hpp"
#include "core/tensor/program.hpp"

namespace diffuse {

/// One picture of a batch.
struct DenoiseJob {
  std::shared_ptr<const Conditioning> positive;
  std::shared_ptr<const Conditioning> negative;  ///< absent: no guidance (the whole batch alike)
  std::uint64_t seed = 0;
  double guidance_scale = 0;
  double guidance_rescale = 0;
};

/// What all pictures of a batch share.
struct DenoiseSettings {
  std::int64_t height = 0, width = 0;  ///< of the latents
  std::shared_ptr<const Schedule> schedule;
  NoiseSource noise_source = NoiseSource::cpu;
  std::optional<std::uint64_t>
      noise_grid{};  ///< threads of the GPU imitated, for NoiseSource::cuda
};

/// Denoise: conditionings and noise to latents. The whole step (both guided halves, guidance,
/// scheduler) is recorded once per shape and replayed. Keys and values of the prompts are computed
/// once per picture; those of an unchanged negative prompt once per recording.
class DenoisePhase {
 public:
  DenoisePhase(Ops& ops, Arena& arena, const UNet2DConditionModel& model);
  ~DenoisePhase();

  /// Latents of every job, in order; empty if `observe` asked to stop.
  /// A picture's latents do not depend on the other jobs of the batch.
  std::vector<Latents> run(std::span<const DenoiseJob> jobs, const DenoiseSettings& settings,
                           const StepObserver& observe);

  /// The step of a batch as a program, for its costs and memory; nothing is executed.
  const Program& step_program(std::int64_t pictures, bool guided, const DenoiseSettings& settings,
                              std::int64_t tokens, double guidance_scale);

 private:
  struct Session;
  struct Key;
  Session& session(const Key& key, const DenoiseSettings& settings);
  void record(Session& session, const Schedule& schedule) const;
  void write_conditioning(Session& session, std::span<const DenoiseJob> jobs);
  void write_key_values(Session& session, std::span<const DenoiseJob> jobs, bool negative) const;

  Ops& ops_;
  Arena& arena_;
  const UNet2DConditionModel& model_;
  std::list<std::unique_ptr<Session>> sessions_;  // most recently used first
};

}  // namespace diffuse
