#include "apps/diffuse_batch/run_batch.hpp"

#include <cstdio>
#include <iostream>
#include <memory>
#include <vector>

#include "apps/diffuse_batch/dry_run.hpp"
#include "apps/diffuse_batch/ending.hpp"
#include "apps/diffuse_batch/picture_maker.hpp"
#include "apps/diffuse_batch/preparation.hpp"
#include "apps/diffuse_batch/rendering.hpp"
#include "apps/diffuse_batch/terminal.hpp"
#include "core/base/log.hpp"
#include "core/pipeline/job_codec.hpp"
#include "core/pipeline/partition.hpp"
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
  }

  /// How the run ended, and on root the line to print, if any.
  AgreedEnd perform(const std::string& usage_error);

 private:
  void plan();
  void make_jobs();
  void load_model();

  mpi::Communicator comm_;
  Preparation prepared_;
  RunSettings& settings_ = prepared_.settings;
  std::optional<JobList> list_;          // root
  std::unique_ptr<Reporter> reporter_;   // root
  std::unique_ptr<PictureMaker> maker_;  // on ranks with jobs
  std::vector<RenderJob> mine_;
};

void Run::plan() {
  together(comm_, [&] {
    if (!comm_.is_root()) return;
    settings_.base_seed = settings_.options.seed.value_or(0);
    list_->expand(settings_);
    print_plan(std::cout, *list_, settings_, *prepared_.folder, comm_.size());
  });
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
    if (!mine_.empty()) maker_ = make_picture_maker(prepared_);
  });
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
    if (comm_.is_root()) list_.emplace(JobList::read(settings_.options));
  });
  open_model(comm_, prepared_);
  choose_device(comm_, prepared_);
  if (settings_.options.dry_run) {
    plan();
    return {};
  }
  open_output(comm_, prepared_, list_);
  make_jobs();
  load_model();
  FixedJobs jobs(std::move(mine_), settings_.batch_size);
  const AgreedEnd end = render_together(
      comm_, settings_, {.maker = maker_.get(), .jobs = jobs, .reporter = reporter_.get()});
  return finish_run(comm_, prepared_, list_, reporter_.get(), end);
}

}  // namespace

ExitCode run(const ParsedOptions& parsed) {
  mpi::Session session;
  const mpi::Communicator& comm = session.world();
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
