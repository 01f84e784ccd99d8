#pragma once

#include <string>

#include "apps/diffuse_batch/run_settings.hpp"
#include "core/pipeline/stable_diffusion.hpp"

namespace diffuse {

/// Everything in the options that the ranks act on together, as text: equal on all ranks, or they
/// were started wrongly. Left out is what a rank may have for itself: --threads, and how it reports
/// (--log-level, --log-file, --quiet, --progress, --progress-interval). What of this decides bytes
/// and names of pictures is in the run record besides (JobList), and alone makes a run another one.
std::string settings_text(const Options& options);

/// Fills in the model's usual size where none is given and checks that sizes are multiples of the
/// autoencoder's factor. Throws ConfigError.
void settle_sizes(Options& options, const StableDiffusionConfigs& configs);

/// `auto`: f16 on GPUs; on CPUs bf16 where all ranks have it natively, else f32.
DType choose_dtype(const std::string& flag, const std::string& device, bool all_ranks_have_bf16);

/// The job that all lines share: sizes, steps, guidance and scheduler of the options.
RenderJob job_template(const Options& options);

}  // namespace diffuse
