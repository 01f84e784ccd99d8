#pragma once

#include <memory>
#include <optional>
#include <string>

#include "apps/diffuse_batch/job_list.hpp"
#include "apps/diffuse_batch/run_settings.hpp"
#include "apps/diffuse_batch/run_summary.hpp"
#include "core/io/model_folder.hpp"
#include "core/pipeline/stable_diffusion.hpp"
#include "core/tensor/decorators.hpp"
#include "mpi/communicator.hpp"

namespace diffuse {

/// What a rank has once options, model and device are agreed.
struct Preparation {
  RunSettings settings;
  std::optional<ModelFolder> folder;
  std::optional<StableDiffusionConfigs> configs;
  std::unique_ptr<Backend> backend;         ///< none with --device null
  std::unique_ptr<TracingBackend> tracing;  ///< --profile: stands before `backend`
  RunSummary summary;                       ///< of what this rank knows; root tells it
};

// All collective. They throw AgreedEnd on every rank if one of them fails.

/// All ranks were started with the same options, and these are right.
void agree_on_options(const mpi::Communicator& comm, const Options& options,
                      const std::string& usage_error);

/// The model's files and what they settle; every rank sees the same ones.
void open_model(const mpi::Communicator& comm, Preparation& prepared);

/// Device, dtype and batch size, the same on all ranks: pictures must not depend on who renders.
void choose_device(const mpi::Communicator& comm, Preparation& prepared);

/// The output folder and what its run record settles. `list` is read on root.
void open_output(const mpi::Communicator& comm, Preparation& prepared,
                 std::optional<JobList>& list);

}  // namespace diffuse
