#include "apps/diffuse_batch/preparation.hpp"

#include "apps/diffuse_batch/find_model.hpp"
#include "apps/diffuse_batch/run_plans.hpp"
#include "apps/diffuse_batch/same_files.hpp"
#include "apps/diffuse_batch/settle.hpp"
#include "apps/diffuse_batch/shared_gpus.hpp"
#include "apps/diffuse_batch/stage_model.hpp"
#include "apps/diffuse_batch/together.hpp"
#include "apps/version.hpp"
#include "core/base/log.hpp"
#include "core/base/threads.hpp"
#include "core/io/fingerprint.hpp"
#include "core/io/output_folder.hpp"
#include "kernels/make_backend.hpp"
#include "mpi/launcher.hpp"

namespace diffuse {
namespace {

void read_model(const mpi::Communicator& comm, const ModelPlace& place, Preparation& prepared) {
  RunSettings& settings = prepared.settings;
  const Options& o = settings.options;
  const ModelFolder& folder =
      prepared.folder.emplace(ModelFolder::open(place.model, place.options));
  const ClipTokenizer tokenizer = ClipTokenizer::load(folder.tokenizer_folder());
  const StableDiffusionConfigs& configs = prepared.configs.emplace(read_configs(folder, tokenizer));
  settings.fingerprint = model_fingerprint(folder);
  const SchedulerConfig scheduler =
      read_scheduler(folder.scheduler(), folder.class_name(), o.scheduler);
  settings.scheduler_file = folder.scheduler();
  settings.pipeline_class = folder.class_name();
  settings.scheduler_class =
      o.scheduler.empty() ? std::string(scheduler_class_name(scheduler.kind)) : o.scheduler;
  settings.labels = {sampler_display_name(scheduler), schedule_type_display_name(scheduler),
                     kProgramVersion};
  if (settings.labels.schedule_type.empty()) settings.labels.schedule_type = "Automatic";
  settings.latent_channels = configs.vae.latent_channels;
  settings.scale_factor = configs.vae.scale_factor();
  settle_sizes(settings.options, configs);
  const Schedule schedule = make_schedule(scheduler, o.num_inference_steps, o.eta);
  if (o.eta > 0 && !schedule.uses_eta && comm.is_root()) {
    log()->warn("--eta has no effect on this scheduler (as in diffusers)");
  }
}

}  // namespace

void agree_on_options(const mpi::Communicator& comm, const Options& options,
                      const std::string& usage_error) {
  together(comm, [&] {
    if (!usage_error.empty()) throw ConfigError(usage_error);
  });
  const std::string mine = settings_text(options);
  const std::string roots = comm.broadcast_bytes(0, mine);
  together(comm, [&] {
    if (mine != roots) throw ConfigError("the ranks were started with different options");
  });
}

void open_model(const mpi::Communicator& comm, Preparation& prepared) {
  RunSettings& settings = prepared.settings;
  const Options& o = settings.options;
  together(comm, [&] { settings.model = find_model(o.model, mpi::process_environment); });
  ModelPlace place{settings.model, {o.variant, o.vae, o.tokenizer}};
  if (!o.stage_dir.empty() && !o.dry_run) place = stage_model(comm, place, o.stage_dir);
  together(comm, [&] { read_model(comm, place, prepared); });
  const std::string roots = comm.broadcast_bytes(0, settings.fingerprint);
  together(comm, [&] {
    if (settings.fingerprint != roots) {
      throw InputError(ExitCode::bad_model,
                       settings.model + ": the model differs from rank 0's (copy it again)");
    }
  });
  if (comm.is_root()) {
    for (const std::string& notice : prepared.folder->notices()) log()->info("{}", notice);
  }
}

void choose_device(const mpi::Communicator& comm, Preparation& prepared) {
  // All ranks on GPUs or all on CPUs: a mixture would make pictures depend on who rendered them.
  RunSettings& settings = prepared.settings;
  const Options& o = settings.options;
  std::string why;
  const bool want_cuda = o.device == "cuda" || (o.device == "auto" && cuda_available(&why));
  const bool all_cuda = comm.all_of(want_cuda);
  together(comm, [&] {
    if (o.device == "cuda" && !cuda_available(&why)) throw DeviceError("--device cuda: " + why);
    if (want_cuda && !all_cuda && o.device != "auto") throw DeviceError("not every rank has a GPU");
    settings.device = all_cuda ? "cuda" : "cpu";
    const int threads = prepare_threads(o.threads, comm.local_rank(), comm.local_size()).threads;
    prepared.backend = make_backend(settings.device, {.threads = threads,
                                                      .force_isa = {},
                                                      .lean = o.memory == "lean",
                                                      .device_index = comm.local_rank(),
                                                      .fast = o.fast});
    if (o.profile) prepared.tracing = std::make_unique<TracingBackend>(*prepared.backend);
  });
  find_plans(comm, prepared);
  together(comm, [&] { settings.instruction_set = prepared.backend->numerics(); });
  warn_of_shared_gpus(comm, *prepared.backend);
  // bf16 on CPUs only where every rank has it.
  const bool all_bf16 = comm.all_of(prepared.backend->refuses(DType::bf16).empty());
  together(comm, [&] {
    settings.dtype = choose_dtype(o.dtype, settings.device, all_bf16);
    if (const std::string no = prepared.backend->refuses(settings.dtype); !no.empty()) {
      throw DeviceError("--dtype " + std::string(name_of(settings.dtype)) + ": " + no);
    }
  });
  const std::string roots = comm.broadcast_bytes(0, settings.instruction_set);
  together(comm, [&] {
    if (roots != settings.instruction_set) {
      throw DeviceError("this rank computes with " + settings.instruction_set + ", rank 0 with " +
                        roots + ": pictures would depend on who renders them");
    }
  });
  settings.batch_size = o.batch_size > 0 ? o.batch_size : settings.device == "cpu" ? 1 : 8;
}

void open_output(const mpi::Communicator& comm, Preparation& prepared,
                 std::optional<JobList>& list) {
  RunSettings& settings = prepared.settings;
  together(comm, [&] {
    if (comm.is_root()) list->open_output(settings, prepared.summary.times);
  });
  agree_on_output_folder(comm, settings.options.output_dir);
  together(comm, [&] {
    if (!comm.is_root()) prepare_output_folder(settings.options.output_dir);
  });
  // What the run record settled.
  const std::string settled = comm.broadcast_bytes(
      0, std::to_string(settings.base_seed) + " " + std::string(name_of(settings.dtype)));
  settings.base_seed = std::stoull(settled);
  settings.dtype = choose_dtype(settled.substr(settled.find(' ') + 1), settings.device, false);
  together(comm, [&] {
    if (!prepared.backend) return;
    if (const std::string no = prepared.backend->refuses(settings.dtype); !no.empty()) {
      throw DeviceError("the run record asks for dtype " + std::string(name_of(settings.dtype)) +
                        ": " + no);
    }
  });
  if (comm.is_root() && !settings.options.seed) {
    log()->info("seed {} (drawn or from the run record; repeat with --seed)", settings.base_seed);
  }
}

}  // namespace diffuse
