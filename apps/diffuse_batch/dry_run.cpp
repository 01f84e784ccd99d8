#include "apps/diffuse_batch/dry_run.hpp"

#include <cstdio>
#include <ostream>

#include "apps/diffuse_batch/picture_maker.hpp"
#include "apps/diffuse_batch/settle.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/partition.hpp"
#include "core/pipeline/stable_diffusion.hpp"

namespace diffuse {
namespace {

std::string mebibytes(std::size_t bytes) {
  return std::to_string((bytes + (1U << 20U) - 1) >> 20U) + " MiB";
}

std::string gigaflops(double flops) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GFLOP", flops * 1e-9);
  return text;
}

}  // namespace

void print_plan(std::ostream& out, const JobList& list, const RunSettings& settings,
                const ModelFolder* folder, int ranks) {
  const Options& o = settings.options;
  const std::vector<RenderJob>& jobs = list.jobs();
  out << "prompts: " << list.prompt_count() << " (" << counted(list.blank_lines(), "blank line")
      << " skipped)\n"
      << "pictures: " << jobs.size() << ", " << *o.width << " x " << *o.height << "\n"
      << "model: " << settings.model << ", fingerprint " << settings.fingerprint.substr(0, 16)
      << "\n"
      << "device: " << settings.device << " (" << settings.instruction_set << "), dtype "
      << name_of(settings.dtype) << "\n"
      << "scheduler: " << settings.scheduler_class << ", " << o.num_inference_steps
      << " steps, guidance scale " << o.guidance_scale << "\n"
      << "seed: " << (o.seed ? std::to_string(*o.seed) : std::string("drawn when the run starts"))
      << "\n"
      << "output folder: " << o.output_dir << "\n";

  for (int rank = 0; rank < ranks; ++rank) {
    const std::vector<RenderJob> mine = jobs_of_part(jobs, ranks, rank, o.apply_padding);
    const std::size_t batches = make_batches(mine, settings.batch_size).size();
    out << "rank " << rank << ": " << counted(static_cast<std::int64_t>(mine.size()), "job")
        << " in " << batches << (batches == 1 ? " batch" : " batches") << " of at most "
        << settings.batch_size << "\n";
  }

  if (folder == nullptr) return;
  const MemoryNeed need = StableDiffusion::need(
      *folder, jobs.front(), settings.batch_size, settings.dtype,
      {.decoder_beside = decodes_beside(settings), .weights_as_stored = settings.device == "cpu"});
  out << "memory of a rank: weights " << mebibytes(need.weights) << ", activations "
      << mebibytes(need.arena) << "\n"
      << "work of a batch: text " << gigaflops(need.encode_flops) << ", step "
      << gigaflops(need.step_flops) << ", decoding a picture " << gigaflops(need.decode_flops)
      << "\n";
}

}  // namespace diffuse
