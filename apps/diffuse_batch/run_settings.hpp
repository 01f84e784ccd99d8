#pragma once

#include <cstdint>
#include <string>

#include "apps/diffuse_batch/options.hpp"
#include "core/base/dtype.hpp"
#include "core/io/model_folder.hpp"
#include "core/io/picture_metadata.hpp"
#include "core/pipeline/render_job.hpp"
#include "core/schedulers/scheduler.hpp"

namespace diffuse {

/// The options with every open choice made, equal on all ranks.
struct RunSettings {
  Options options;
  std::string model;            ///< path or hub name
  std::string fingerprint;      ///< of the model
  std::string device;           ///< "cpu" or "cuda"
  std::string instruction_set;  ///< and library versions, as the backend names them
  DType dtype = DType::f32;
  std::uint64_t base_seed = 0;
  int batch_size = 1;
  int latent_channels = 0;      ///< of the autoencoder
  int scale_factor = 0;         ///< pixels per latent element along each side
  std::string scheduler_class;  ///< of the model, or the flag
  PictureLabels labels;
  SchedulerFile scheduler_file;  ///< of the model, for lines that name a scheduler of their own
  std::string pipeline_class;
};

/// What a picture's file tells of its job.
PictureJob picture_job(const RenderJob& job, const RunSettings& settings);

/// What the webui's text of a picture says besides: the run's, unless the job has a scheduler of
/// its own.
PictureLabels picture_labels(const RenderJob& job, const RunSettings& settings);

/// Output folder as given, and the file name.
std::string output_path(const RunSettings& settings, const RenderJob& job);

}  // namespace diffuse
