#include "apps/diffuse_batch/run_batch.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "apps/diffuse_batch/dry_run.hpp"
#include "apps/diffuse_batch/find_model.hpp"
#include "apps/diffuse_batch/job_list.hpp"
#include "apps/diffuse_batch/profile.hpp"
#include "apps/diffuse_batch/rank_renderer.hpp"
#include "apps/diffuse_batch/reporter.hpp"
#include "apps/diffuse_batch/run_settings.hpp"
#include "apps/diffuse_batch/settle.hpp"
#include "apps/diffuse_batch/terminal.hpp"
#include "apps/diffuse_batch/together.hpp"
#include "apps/version.hpp"
#include "core/base/log.hpp"
#include "core/base/threads.hpp"
#include "core/io/contact_sheet.hpp"
#include "core/io/fingerprint.hpp"
#include "core/pipeline/job_codec.hpp"
#include "core/pipeline/partition.hpp"
#include "kernels/make_backend.hpp"
#include "mpi/launcher.hpp"
#include "mpi/session.hpp"

namespace diffuse {
namespace {

constexpr int kResultTag = 1;
constexpr std::size_t kProfileRows = 40;
constexpr int kSheetEdge = 256;

ProgressMode progress_mode(const Options& options) {
  if (options.quiet || options.progress == "none") return ProgressMode::none;
  if (options.progress == "bar") return ProgressMode::bar;
  if (options.progress == "lines") return ProgressMode::lines;
  return stderr_is_terminal() ? ProgressMode::bar : ProgressMode::lines;
}

/// One run on one rank: what the stages hand to one another.
class Run {
 public:
  Run(mpi::Communicator comm, const Options& options) : comm_(std::move(comm)) {
    settings_.options = options;
  }

  /// How the run ended, and on root the line to print, if any.
  AgreedEnd perform(const std::string& usage_error);

 private:
  void check_options(const std::string& usage_error);
  void open_model();
  void choose_device();
  void make_jobs();
  void open_output();
  void load_model();
  AgreedEnd render();
  AgreedEnd finish(AgreedEnd end);
  void write_contact_sheet_of(const std::vector<std::filesystem::path>& paths);

  mpi::Communicator comm_;
  RunSettings settings_;
  std::optional<JobList> list_;  // root
  std::optional<ModelFolder> folder_;
  std::optional<StableDiffusionConfigs> configs_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<TracingBackend> tracing_;  // --profile: stands before backend_
  std::unique_ptr<StableDiffusion> model_;   // on ranks with jobs
  std::vector<RenderJob> mine_;
  std::unique_ptr<Reporter> reporter_;  // root
};

void Run::check_options(const std::string& usage_error) {
  together(comm_, [&] {
    if (!usage_error.empty()) throw ConfigError(usage_error);
  });
  const std::string mine = settings_text(settings_.options);
  const std::string roots = comm_.broadcast_bytes(0, mine);
  together(comm_, [&] {
    if (mine != roots) throw ConfigError("the ranks were started with different options");
  });
}

void Run::open_model() {
  together(comm_, [&] {
    const Options& o = settings_.options;
    settings_.model = find_model(o.model, mpi::process_environment);
    folder_.emplace(ModelFolder::open(settings_.model, {o.variant, o.vae, o.tokenizer}));
    const ClipTokenizer tokenizer = ClipTokenizer::load(folder_->tokenizer_folder());
    configs_ = read_configs(*folder_, tokenizer);
    settings_.fingerprint = model_fingerprint(*folder_);
    const SchedulerConfig scheduler =
        read_scheduler(folder_->scheduler(), folder_->class_name(), o.scheduler);
    settings_.scheduler_class =
        o.scheduler.empty() ? std::string(scheduler_class_name(scheduler.kind)) : o.scheduler;
    settings_.labels = {sampler_display_name(scheduler), schedule_type_display_name(scheduler),
                        kProgramVersion};
    if (settings_.labels.schedule_type.empty()) settings_.labels.schedule_type = "Automatic";
    settings_.latent_channels = configs_->vae.latent_channels;
    settings_.scale_factor = configs_->vae.scale_factor();
    settle_sizes(settings_.options, *configs_);
    const Schedule schedule = make_schedule(scheduler, o.num_inference_steps, o.eta);
    if (o.eta > 0 && !schedule.uses_eta && comm_.is_root()) {
      log()->warn("--eta has no effect on this scheduler (as in diffusers)");
    }
  });
  const std::string roots = comm_.broadcast_bytes(0, settings_.fingerprint);
  together(comm_, [&] {
    if (settings_.fingerprint != roots) {
      throw InputError(ExitCode::bad_model,
                       settings_.model + ": the model differs from rank 0's (copy it again)");
    }
  });
  if (comm_.is_root()) {
    for (const std::string& notice : folder_->notices()) log()->info("{}", notice);
  }
}

void Run::choose_device() {
  // All ranks on GPUs or all on CPUs: a mixture would make pictures depend on who rendered them.
  const Options& o = settings_.options;
  std::string why;
  const bool want_cuda = o.device == "cuda" || (o.device == "auto" && cuda_available(&why));
  const bool all_cuda = comm_.all_of(want_cuda);
  together(comm_, [&] {
    if (o.device == "cuda" && !cuda_available(&why)) throw DeviceError("--device cuda: " + why);
    if (want_cuda && !all_cuda && o.device != "auto") throw DeviceError("not every rank has a GPU");
    settings_.device = all_cuda ? "cuda" : "cpu";
    const int threads = prepare_threads(o.threads, comm_.local_rank(), comm_.local_size()).threads;
    backend_ =
        make_backend(settings_.device,
                     {.threads = threads, .force_isa = {}, .device_index = comm_.local_rank()});
    if (o.profile) tracing_ = std::make_unique<TracingBackend>(*backend_);
    settings_.instruction_set = backend_->numerics();
  });
  // bf16 on CPUs only where every rank has it.
  const bool all_bf16 = comm_.all_of(backend_->refuses(DType::bf16).empty());
  together(comm_, [&] {
    settings_.dtype = choose_dtype(o.dtype, settings_.device, all_bf16);
    if (const std::string no = backend_->refuses(settings_.dtype); !no.empty()) {
      throw DeviceError("--dtype " + std::string(name_of(settings_.dtype)) + ": " + no);
    }
  });
  const std::string roots = comm_.broadcast_bytes(0, settings_.instruction_set);
  together(comm_, [&] {
    if (roots != settings_.instruction_set) {
      throw DeviceError("this rank computes with " + settings_.instruction_set + ", rank 0 with " +
                        roots + ": pictures would depend on who renders them");
    }
  });
  settings_.batch_size = o.batch_size > 0 ? o.batch_size : settings_.device == "cpu" ? 1 : 8;
}

void Run::open_output() {
  together(comm_, [&] {
    if (comm_.is_root()) list_->open_output(settings_);
  });
  together(comm_, [&] {
    if (!comm_.is_root()) prepare_output_folder(settings_.options.output_dir);
  });
  // What the run record settled.
  const std::string settled = comm_.broadcast_bytes(
      0, std::to_string(settings_.base_seed) + " " + std::string(name_of(settings_.dtype)));
  settings_.base_seed = std::stoull(settled);
  settings_.dtype = choose_dtype(settled.substr(settled.find(' ') + 1), settings_.device, false);
  together(comm_, [&] {
    if (const std::string no = backend_->refuses(settings_.dtype); !no.empty()) {
      throw DeviceError("the run record asks for dtype " + std::string(name_of(settings_.dtype)) +
                        ": " + no);
    }
  });
  if (comm_.is_root() && !settings_.options.seed) {
    log()->info("seed {} (drawn or from the run record; repeat with --seed)", settings_.base_seed);
  }
}

void Run::make_jobs() {
  std::vector<std::string> parts;
  together(comm_, [&] {
    if (!comm_.is_root()) return;
    const std::vector<RenderJob> open = list_->open_jobs();
    const std::vector<RenderResult> kept = list_->kept(settings_);
    if (!kept.empty()) log()->info("{} pictures are already there and kept", kept.size());
    reporter_ = std::make_unique<Reporter>(
        Reporter::Setup{.jobs = static_cast<std::int64_t>(list_->jobs().size()),
                        .kept = kept,
                        .progress = progress_mode(settings_.options)});
    for (int rank = 0; rank < comm_.size(); ++rank) {
      parts.push_back(pack_jobs(jobs_of_part(open, comm_.size(), rank,
                                             settings_.options.apply_padding && !open.empty())));
    }
  });
  mine_ = unpack_jobs(comm_.scatter_bytes(0, parts));
}

void Run::load_model() {
  // Ranks without jobs load no model.
  together(comm_, [&] {
    if (mine_.empty()) return;
    model_ = std::make_unique<StableDiffusion>(
        *folder_, tracing_ ? *tracing_ : *backend_,
        StableDiffusion::Settings{.dtype = settings_.dtype,
                                  .noise_source = settings_.options.noise_source == "cuda"
                                                      ? NoiseSource::cuda
                                                      : NoiseSource::cpu,
                                  .noise_grid = settings_.options.noise_grid,
                                  .decoder_only = settings_.options.input_type == "latent"});
  });
  together(comm_, [&] {
    if (comm_.is_root()) list_->write_record(settings_);
  });
}

AgreedEnd Run::render() {
  std::vector<RenderResult> results;
  const auto collect = [&] {
    while (auto message = comm_.poll(kResultTag)) {
      for (const RenderResult& result : unpack_results(message->bytes)) reporter_->finished(result);
    }
  };
  const auto finished = [&](const RenderResult& result) {
    results.push_back(result);
    if (comm_.is_root()) {
      reporter_->finished(result);
    } else {
      comm_.post(0, kResultTag, pack_results({&result, 1}));
    }
  };
  const auto between = [&](int step, int steps) {
    collect();
    if (comm_.is_root()) reporter_->tick(step, steps);
    return true;
  };
  ExitCode code = ExitCode::ok;
  std::string problem;
  if (model_) {
    RankRenderer renderer(*model_, settings_, comm_.rank(), {finished, between});
    code = renderer.render(mine_);
    problem = renderer.problem();
  }

  // Root goes on reporting what the others send until all are through.
  while (!comm_.all_through(collect)) {
  }
  for (const mpi::Message& message : comm_.finish_posts(kResultTag)) {
    for (const RenderResult& result : unpack_results(message.bytes)) reporter_->finished(result);
  }
  const std::vector<std::string> all = comm_.gather_bytes(0, pack_results(results));
  together(comm_, [&] {
    for (const std::string& part : all) {
      for (const RenderResult& result : unpack_results(part)) reporter_->finished(result);
    }
  });
  const mpi::Agreement agreement = comm_.agree(code, problem);
  AgreedEnd end{agreement.code, agreement.line()};
  if (end.code == ExitCode::some_failed && comm_.is_root()) {
    end.line = std::to_string(reporter_->failed()) +
               " pictures failed, named above; all others are there, and the same command tries "
               "these again";
  }
  return end;
}

void Run::write_contact_sheet_of(const std::vector<std::filesystem::path>& paths) {
  const Options& o = settings_.options;
  if (o.contact_sheet.empty() || paths.empty()) return;
  write_contact_sheet(paths, o.contact_sheet,
                      {.edge = std::min(kSheetEdge, std::max(*o.width, *o.height)), .columns = 0});
  log()->info("contact sheet: {}", o.contact_sheet);
}

AgreedEnd Run::finish(AgreedEnd end) {
  try {
    together(comm_, [&] {
      if (!comm_.is_root()) return;
      reporter_->finish();
      list_->close_output(settings_, end.code);
      if (tracing_) log()->info("profile of rank 0:\n{}", profile_table(*tracing_, kProfileRows));
      write_contact_sheet_of(reporter_->paths());
    });
  } catch (const AgreedEnd& late) {
    // A full disk is told once, by the picture that met it first.
    if (mpi::severity_of(late.code) > mpi::severity_of(end.code)) return late;
  }
  return end;
}

AgreedEnd Run::perform(const std::string& usage_error) {
  check_options(usage_error);
  together(comm_, [&] {
    set_up_log(settings_.options.log_level, settings_.options.quiet, comm_.rank(), comm_.size(),
               settings_.options.log_file);
  });
  together(comm_, [&] {
    if (comm_.is_root()) list_.emplace(JobList::read(settings_.options));
  });
  open_model();
  choose_device();
  if (settings_.options.dry_run) {
    together(comm_, [&] {
      if (!comm_.is_root()) return;
      settings_.base_seed = settings_.options.seed.value_or(0);
      list_->expand(settings_);
      print_plan(std::cout, *list_, settings_, *folder_, comm_.size());
    });
    return {};
  }
  open_output();
  make_jobs();
  load_model();
  return finish(render());
}

}  // namespace

ExitCode run(const ParsedOptions& parsed) {
  mpi::Session session;
  const mpi::Communicator comm = session.world();
  AgreedEnd end;
  try {
    end = Run(comm, parsed.options).perform(parsed.error);
  } catch (const AgreedEnd& early) {
    end = early;
  }
  if (comm.is_root() && !end.line.empty()) {
    std::fprintf(stderr, "diffuse-batch: error[%d]: %s\n", static_cast<int>(end.code),
                 end.line.c_str());
  }
  return end.code;
}

}  // namespace diffuse
