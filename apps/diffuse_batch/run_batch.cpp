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
#include "apps/diffuse_batch/prompt_rounds.hpp"
#include "apps/diffuse_batch/rendering.hpp"
#include "apps/diffuse_batch/run_plans.hpp"
#include "apps/diffuse_batch/same_files.hpp"
#include "apps/diffuse_batch/shared_weights.hpp"
#include "apps/diffuse_batch/stage_model.hpp"
#include "apps/diffuse_batch/stop.hpp"
#include "apps/diffuse_batch/terminal.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "mpi/session.hpp"

namespace diffuse {
namespace {

ProgressMode progress_mode(const Options& options) {
  if (options.quiet || options.progress == "none") return ProgressMode::none;
  if (options.progress == "bar") return ProgressMode::bar;
  if (options.progress == "lines") return ProgressMode::lines;
  return stderr_columns() > 0 ? ProgressMode::bar : ProgressMode::lines;
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
  void begin_report();
  bool begin_round(PromptRounds* rounds);
  Distribution hand_out_jobs();
  void load_model(const Distribution& work);
  AgreedEnd render_jobs();
  AgreedEnd render_rounds();

  mpi::Communicator comm_;
  std::shared_ptr<mpi::SharedMemory> shared_weights_;  // freed last, by all ranks together
  Preparation prepared_;
  RunSettings& settings_ = prepared_.settings;
  std::optional<JobList> list_;          // root
  std::unique_ptr<Reporter> reporter_;   // root
  std::unique_ptr<PictureMaker> maker_;  // on ranks with jobs; with rounds, on all
  bool begun_ = false;                   // the run record is written
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

void Run::begin_report() {
  const Options& o = settings_.options;
  const bool verbose = o.log_level == "debug" || o.log_level == "trace";
  reporter_ = std::make_unique<Reporter>(Reporter::Setup{
      .jobs = comes_in_rounds(o) ? -1 : static_cast<std::int64_t>(list_->job_count()),
      .path_of = [this](std::int64_t index) { return list_->path_of(index); },
      .line_of = [this](std::int64_t index) { return list_->line_of(index); },
      .progress = progress_mode(o),
      .columns = static_cast<std::size_t>(stderr_columns()),
      .interval = o.progress_interval,
      .ranks = verbose ? static_cast<std::size_t>(comm_.size()) : 0,
      .print_paths = !o.json,
      .keep_paths = !o.contact_sheet.empty()});
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
    if (!kept.empty()) {
      log()->info("{} already there, kept",
                  counted(static_cast<std::int64_t>(kept.size()), "picture"));
    }
    if (!reporter_) begin_report();
    reporter_->begin(list_->first_index(), static_cast<std::int64_t>(list_->job_count()), kept);
  });
  return distribute(comm_, settings_, std::move(open), prepared_.summary.times);
}

void Run::load_model(const Distribution& work) {
  // Ranks without jobs load no model.
  const Timed timed(prepared_.summary.times.loading);
  if (prepared_.folder && comm_.all_of(work.any))
    read_weights_once_per_node(comm_, *prepared_.folder);
  if (!comm_.all_of(!work.any)) settle_plans(comm_, prepared_);
  shared_weights_ = share_weights(comm_, prepared_, work.any);
  together(comm_, [&] {
    if (work.any) maker_ = make_picture_maker(prepared_);
  });
  if (shared_weights_) shared_weights_->publish();
  leave_if_stopped();
}

AgreedEnd Run::render_jobs() {
  Distribution work = hand_out_jobs();
  // Nobody knows who will have something to do in a later round.
  work.any = work.any || comes_in_rounds(settings_.options);
  if (!begun_) load_model(work);
  together(comm_, [&] {
    if (!comm_.is_root()) return;
    begun_ ? list_->write_found(settings_) : list_->write_record(settings_);
  });
  begun_ = true;
  AgreedEnd end =
      render_together(comm_, settings_, work, maker_.get(), reporter_.get(), prepared_.summary);
  if (reporter_) reporter_->end();
  return end;
}

bool Run::begin_round(PromptRounds* rounds) {
  std::vector<PromptEntry> prompts = wait_for_prompts(comm_, rounds);
  const bool ended = !comm_.all_of(!comm_.is_root() || !prompts.empty());
  if (ended) return false;
  together(comm_, [&] {
    if (!comm_.is_root()) return;
    list_->begin_round(settings_, std::move(prompts), prepared_.summary.times);
  });
  return true;
}

AgreedEnd Run::render_rounds() {
  std::optional<PromptRounds> rounds;
  if (comm_.is_root()) rounds.emplace(settings_.options);
  AgreedEnd end;
  const auto worse = [&](const AgreedEnd& other) {
    if (mpi::severity_of(other.code) >= mpi::severity_of(end.code)) end = other;
  };
  try {
    while (begin_round(rounds ? &*rounds : nullptr)) {
      const AgreedEnd round = render_jobs();
      worse(round);
      const bool failed = round.code == ExitCode::some_failed;
      if (round.code != ExitCode::ok && !failed) break;
      if (failed && settings_.options.on_error == "stop") break;
    }
  } catch (const AgreedEnd& early) {
    if (!begun_) throw;
    worse(early);
  }
  return end;
}

AgreedEnd Run::perform(const std::string& usage_error) {
  agree_on_options(comm_, settings_.options, usage_error);
  together(comm_, [&] {
    set_up_log(settings_.options.log_level, settings_.options.quiet, comm_.rank(), comm_.size(),
               settings_.options.log_file);
  });
  if (!settings_.options.tune_plans.empty()) {
    open_model(comm_, prepared_);
    choose_device(comm_, prepared_);
    tune_plans(comm_, prepared_);
    return {};
  }
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
  const AgreedEnd end = comes_in_rounds(settings_.options) ? render_rounds() : render_jobs();
  keep_plans(comm_, prepared_);
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
