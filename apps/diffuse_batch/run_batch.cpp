#include "apps/diffuse_batch/run_batch.hpp"

#include <cstdio>
#include <iostream>
#include <memory>
#include <vector>

#include "apps/diffuse_batch/dry_run.hpp"
#include "apps/diffuse_batch/ending.hpp"
#include "apps/diffuse_batch/null_device.hpp"
#include "apps/diffuse_batch/picture_maker.hpp"
#include "apps/diffuse_batch/preparation.hpp"
#include "apps/diffuse_batch/rendering.hpp"
#include "apps/diffuse_batch/same_files.hpp"
#include "apps/diffuse_batch/shared_weights.hpp"
#include "apps/diffuse_batch/stage_model.hpp"
#include "apps/diffuse_batch/stop.hpp"
#include "apps/diffuse_batch/terminal.hpp"
#include "core/base/log.hpp"
#include "mpi/session.hpp"

namespace diffuse {
namespace {

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
    prepared_.settings.options = options;
    prepared_.summary.output_dir = options.output_dir;
  }

  /// How the run ended, and on root the line to print, if any.
  AgreedEnd perform(const std::string& usage_error);

  /// On root, whatever the end.
  [[nodiscard]] const RunSummary& summary() const { return prepared_.summary; }

 private:
  void plan();
  void leave_if_stopped();
  Distribution hand_out_jobs();
  void load_model(const Distribution& work);

  mpi::Communicator comm_;
  std::shared_ptr<mpi::SharedMemory> shared_weights_;  // freed last, by all ranks together
  Preparation prepared_;
  RunSettings& settings_ = prepared_.settings;
  std::optional<JobList> list_;          // root
  std::unique_ptr<Reporter> reporter_;   // root
  std::unique_ptr<PictureMaker> maker_;  // on ranks with jobs
};

void Run::plan() {
  together(comm_, [&] {
    if (!comm_.is_root()) return;
    settings_.base_seed = settings_.options.seed.value_or(0);
    list_->expand(settings_);
    print_plan(std::cout, *list_, settings_, prepared_.folder ? &*prepared_.folder : nullptr,
               comm_.size());
  });
}

void Run::leave_if_stopped() {
  together(comm_, [] {
    if (stop_requested() != Stop::no) throw StoppedError();
  });
}

Distribution Run::hand_out_jobs() {
  std::vector<RenderJob> open;
  together(comm_, [&] {
    if (!comm_.is_root()) return;
    const Timed timed(prepared_.summary.times.splitting);
    open = list_->take_open_jobs();
    const std::vector<std::int64_t> kept = list_->kept();
    list_->sum_up(prepared_.summary);
    prepared_.summary.base_seed = settings_.base_seed;
    if (!kept.empty()) log()->info("{} pictures are already there and kept", kept.size());
    reporter_ = std::make_unique<Reporter>(
        Reporter::Setup{.jobs = static_cast<std::int64_t>(list_->job_count()),
                        .path_of = [this](std::int64_t index) { return list_->path_of(index); },
                        .kept = kept,
                        .progress = progress_mode(settings_.options),
                        .print_paths = !settings_.options.json});
  });
  return distribute(comm_, settings_, std::move(open), prepared_.summary.times);
}

void Run::load_model(const Distribution& work) {
  // Ranks without jobs load no model.
  const Timed timed(prepared_.summary.times.loading);
  if (prepared_.folder && comm_.all_of(work.any))
    read_weights_once_per_node(comm_, *prepared_.folder);
  shared_weights_ = share_weights(comm_, prepared_, work.any);
  together(comm_, [&] {
    if (work.any) maker_ = make_picture_maker(prepared_);
  });
  if (shared_weights_) shared_weights_->publish();
  leave_if_stopped();
  together(comm_, [&] {
    if (comm_.is_root()) list_->write_record(settings_);
  });
}

AgreedEnd Run::perform(const std::string& usage_error) {
  agree_on_options(comm_, settings_.options, usage_error);
  together(comm_, [&] {
    set_up_log(settings_.options.log_level, settings_.options.quiet, comm_.rank(), comm_.size(),
               settings_.options.log_file);
  });
  together(comm_, [&] {
    const Timed timed(prepared_.summary.times.reading);
    if (comm_.is_root()) list_.emplace(JobList::read(settings_.options));
  });
  agree_on_list(comm_, settings_.options.prompts);
  if (settings_.options.device == "null") {
    prepare_null_device(prepared_);
  } else {
    open_model(comm_, prepared_);
    choose_device(comm_, prepared_);
  }
  if (settings_.options.dry_run) {
    plan();
    return {};
  }
  stop_in_order();
  open_output(comm_, prepared_, list_);
  leave_if_stopped();
  Distribution work = hand_out_jobs();
  load_model(work);
  const AgreedEnd end =
      render_together(comm_, settings_, work, maker_.get(), reporter_.get(), prepared_.summary);
  return finish_run(comm_, prepared_, list_, reporter_.get(), end);
}

}  // namespace

ExitCode run(const ParsedOptions& parsed) {
  mpi::Session session;
  const mpi::Communicator& comm = session.world();
  AgreedEnd end;
  Run run(comm, parsed.options);
  try {
    end = run.perform(parsed.error);
  } catch (const AgreedEnd& early) {
    end = early;
  }
  if (comm.is_root() && parsed.options.json) {
    std::printf("%s\n", summary_json(run.summary(), end.code, end.line).c_str());
    std::fflush(stdout);
  }
  if (comm.is_root() && !end.line.empty()) {
    std::fprintf(stderr, "diffuse-batch: error[%d]: %s\n", static_cast<int>(end.code),
                 end.line.c_str());
  }
  return end.code;
}

}  // namespace diffuse
