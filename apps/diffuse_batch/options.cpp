#include "apps/diffuse_batch/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>
#include <vector>

#include "core/base/text.hpp"
#include "core/pipeline/picture_name.hpp"
#include "core/schedulers/scheduler.hpp"

namespace diffuse {
namespace {

// Largest side of a picture: far above what any model can do, low enough for 32-bit products.
constexpr int kMaxSide = 32768;
constexpr int kMaxSteps = 10000;
constexpr std::size_t kMaxMessage = 1000;

CLI::Validator finite() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        double value = 0;
        if (!CLI::detail::lexical_cast(text, value) || !std::isfinite(value)) {
          return "must be a finite number, not '" + printable(text, 40) + "'";
        }
        return {};
      },
      "NUMBER", "finite");
}

CLI::Validator name_pattern() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        const std::string problem = name_pattern_problem(text);
        return problem.empty() ? problem : "'" + printable(text, 40) + "' " + problem;
      },
      "", "name pattern");
}

// CLI11 reads whole numbers by strtoull, which wraps "-1" and numbers over 2^64 round.
CLI::Validator whole_number() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        std::uint64_t value = 0;
        const char* end = text.data() + text.size();
        const auto [at, error] = std::from_chars(text.data(), end, value);
        if (error != std::errc() || at != end) {
          return "must be a whole number from 0 to 2^64 - 1, not '" + printable(text, 40) + "'";
        }
        return {};
      },
      "", "whole number");
}

void add_model_options(CLI::App& app, Options& o) {
  app.add_option(
         "--model", o.model,
         "Model folder (diffusers layout), single-file SD 1.x checkpoint, or hub name found "
         "offline (default: DIFFUSE_BATCH_MODEL, else the model that ships)")
      ->group("Model");
  app.add_option("--variant", o.variant, "Weight files NAME.<variant>.safetensors, e.g. fp16")
      ->group("Model");
  app.add_option("--vae", o.vae, "Folder of another autoencoder")->group("Model");
  app.add_option("--tokenizer", o.tokenizer, "Tokenizer folder, for single-file checkpoints")
      ->group("Model");
  app.add_option("--stage-dir", o.stage_dir,
                 "Folder on each node's own disk: the model is copied there first, by one rank a "
                 "node, and the copy stays for the next run")
      ->group("Model");
  app.add_option("--dtype", o.dtype, "Type of activations and weights")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "f16"}))
      ->capture_default_str()
      ->group("Model");
  app.add_option("--device", o.device, "Where to compute; null: nowhere, stand-in pictures")
      ->check(CLI::IsMember({"auto", "cpu", "cuda", "null"}))
      ->capture_default_str()
      ->group("Model");
}

void add_picture_options(CLI::App& app, Options& o) {
  const char* group = "Pictures";
  app.add_option("--num-inference-steps", o.num_inference_steps, "Denoising steps")
      ->check(CLI::Range(1, kMaxSteps))
      ->capture_default_str()
      ->group(group);
  app.add_option("--guidance-scale", o.guidance_scale,
                 "Classifier-free guidance; 1 or less switches it off")
      ->check(finite())
      ->capture_default_str()
      ->group(group);
  app.add_option("--guidance-rescale", o.guidance_rescale, "Rescale factor of arXiv:2305.08891")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--clip-skip", o.clip_skip,
                 "Last text encoder layers left out, as diffusers counts")
      ->check(CLI::Range(0, 1000))
      ->group(group);
  app.add_option("--seed", o.seed,
                 "Seed of the first picture; picture i gets seed + i (default: drawn)")
      ->check(whole_number())
      ->group(group);
  app.add_flag("--prompt-weighting", o.prompt_weighting,
               "Read brackets in prompts as the webui does, (word:1.2), and long prompts whole")
      ->group(group);
  app.add_option("--negative-prompt", o.negative_prompt, "What the pictures should not show")
      ->group(group);
  app.add_option("--width", o.width, "Pixels, a multiple of the autoencoder's factor")
      ->check(CLI::Range(1, kMaxSide))
      ->group(group);
  app.add_option("--height", o.height, "Pixels, a multiple of the autoencoder's factor")
      ->check(CLI::Range(1, kMaxSide))
      ->group(group);
  std::string names;
  for (const std::string& name : scheduler_flag_names()) names += (names.empty() ? "" : " ") + name;
  app.add_option("--scheduler", o.scheduler,
                 "One of " + names + ", or a diffusers class name (default: the model's)")
      ->group(group);
  app.add_option("--eta", o.eta, "Noise of DDIM steps, 0 to 1")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--num-images-per-prompt", o.num_images_per_prompt, "Pictures of each line")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--noise-source", o.noise_source,
                 "Whose random numbers: torch's on cpu or on cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--noise-grid", o.noise_grid, "Threads of the GPU imitated by --noise-source cuda")
      ->check(whole_number())
      ->check(CLI::PositiveNumber)
      ->group(group);
}

void add_run_options(CLI::App& app, Options& o) {
  const char* group = "Run";
  app.add_option("--output-dir", o.output_dir, "Folder of the pictures, created if missing")
      ->capture_default_str()
      ->group(group);
  app.add_option("--name-pattern", o.name_pattern,
                 "File names of {index}, {seed}, {slug} (of the prompt) and {name} (of the line); "
                 "the index is put in front unless it stands at an end")
      ->check(name_pattern())
      ->capture_default_str()
      ->group(group);
  app.add_option("--shard-size", o.shard_size,
                 "Pictures of one folder: 1000 makes 00000/, 00001/, ... (default: no folders)")
      ->check(CLI::Range(1, 10'000'000))
      ->group(group);
  app.add_option("--output-type", o.output_type, "What is written for each job")
      ->check(CLI::IsMember({"png", "latent", "none"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--input-type", o.input_type,
                 "What the list holds: prompts, or paths of latent files to decode")
      ->check(CLI::IsMember({"prompts", "latent"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--batch-size", o.batch_size, "Pictures denoised together (default: 1 on a CPU)")
      ->check(CLI::Range(1, 1024))
      ->group(group);
  app.add_option("--threads", o.threads, "CPU threads of a rank (default: its share of the cores)")
      ->check(CLI::Range(1, 4096))
      ->group(group);
  app.add_option("--memory", o.memory,
                 "full, or lean: less memory, and slower (on a CPU pictures differ in rounding)")
      ->check(CLI::IsMember({"full", "lean"}))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--fast", o.fast,
               "GPU: take the fastest kernel for each batch size, by the clock, instead of the "
               "same for all: a picture's rounding then depends on its batch")
      ->group(group);
  app.add_option("--plans", o.plans, "GPU: table of kernels to take (made by --tune-plans)")
      ->group(group);
  app.add_option("--tune-plans", o.tune_plans,
                 "GPU: render nothing, time kernels for the model at this size and dtype, and add "
                 "the fastest to this table")
      ->group(group);
  app.add_flag("--apply-padding", o.apply_padding,
               "Give every rank the same number of jobs by rendering copies of the last one")
      ->group(group);
  app.add_option(
         "--schedule", o.schedule,
         "How jobs reach the ranks: equal shares at once (static), or batch by batch to who "
         "is done first (dynamic); auto: static if all jobs cost the same")
      ->check(CLI::IsMember({"auto", "static", "dynamic"}))
      ->capture_default_str()
      ->group(group);
  app.add_option(
         "--round-size", o.round_size,
         "Pictures of a round, when the list is standard input: it is rendered as it comes, "
         "and a round ends a second after its first line at the latest")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--retries", o.retries, "Times that a failed job is tried again")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--on-error", o.on_error, "After a job that failed: continue, or stop the run")
      ->check(CLI::IsMember({"continue", "stop"}))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--overwrite", o.overwrite, "Allow files in the output folder to be replaced")
      ->group(group);
  app.add_flag("--resume", o.resume,
               "Only go on with a run: a folder without a run record is an error")
      ->group(group);
  app.add_option("--null-ms", o.null_ms, "--device null: milliseconds for each picture")
      ->check(CLI::Range(0, 3'600'000))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--dry-run", o.dry_run, "Print the plan; load no weights, render nothing")
      ->group(group);
  app.add_option("--contact-sheet", o.contact_sheet,
                 "Also write a grid of all pictures to this PNG")
      ->group(group);
  app.add_option("--contact-sheet-labels", o.contact_sheet_labels,
                 "What stands under each picture of the contact sheet")
      ->check(CLI::IsMember({"prompt", "none"}))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--gallery", o.gallery,
               "Also write index.html, a page of all jobs, into the output folder")
      ->group(group);
}

void add_report_options(CLI::App& app, Options& o) {
  const char* group = "Reporting";
  app.add_option("--log-level", o.log_level, "What is logged on standard error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--progress", o.progress, "Form of the progress report")
      ->check(CLI::IsMember({"auto", "bar", "lines", "none"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--progress-interval", o.progress_interval,
                 "Seconds between two progress reports (default: 30 for lines, 0.1 for a bar)")
      ->check(CLI::Range(0.0, 86400.0))
      ->group(group);
  app.add_option("--log-file", o.log_file,
                 "Also log to this file, each rank to its own: {rank} in the name stands for the "
                 "rank; without it, ranks above 0 add .<rank>")
      ->group(group);
  app.add_flag("--json", o.json, "A summary in JSON on standard output instead of the paths")
      ->group(group);
  app.add_flag("--quiet", o.quiet, "Errors only on standard error")->group(group);
  app.add_flag("--profile", o.profile, "Print the time of every op and shape at the end")
      ->group(group);
}

bool is_scheduler_name(const std::string& name) {
  const std::vector<std::string> names = scheduler_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

// Contradictions and values that only make sense together.
std::string check(const Options& o) {
  std::string wrong;
  const auto add = [&](const std::string& text) { wrong += (wrong.empty() ? "" : "; ") + text; };
  if (o.noise_grid && o.noise_source != "cuda") add("--noise-grid needs --noise-source cuda");
  if (o.output_type == "latent" && !o.contact_sheet.empty()) {
    add("--contact-sheet needs pictures, not --output-type latent");
  }
  if (o.input_type == "latent" && o.output_type == "latent") {
    add("--input-type latent decodes: --output-type latent would write what is already there");
  }
  if (o.output_type == "none" && o.device != "null") {
    add("--output-type none needs --device null: pictures that took time are kept");
  }
  if (o.output_type == "none" && !o.contact_sheet.empty()) {
    add("--contact-sheet needs pictures, not --output-type none");
  }
  if (o.device == "null" && (o.output_type == "latent" || o.input_type == "latent")) {
    add("--device null makes no latents and decodes none");
  }
  if (o.json && o.dry_run) add("--dry-run prints its plan on standard output, --json a summary");
  if (o.apply_padding && o.schedule == "dynamic") {
    add("--apply-padding fills equal shares: it needs --schedule static");
  }
  if (!o.scheduler.empty() && !is_scheduler_name(o.scheduler)) {
    add("--scheduler: unknown name '" + printable(o.scheduler, 40) + "' (see --help)");
  }
  if (o.fast && !o.plans.empty()) add("--plans names kernels, and --fast looks for others");
  if (!o.tune_plans.empty()) {
    if (o.fast || !o.plans.empty())
      add("--tune-plans makes a table: it takes no --fast, no --plans");
    if (o.dry_run || o.json) add("--tune-plans renders nothing: it takes no --dry-run, no --json");
    if (!o.prompts.empty()) add("--tune-plans renders nothing: leave the prompt list out");
    return wrong;
  }
  if (o.output_dir.empty()) add("--output-dir must not be empty");
  if (o.prompts.empty()) add("a prompt list is needed: a file, or - for standard input");
  return wrong;
}

}  // namespace

std::vector<std::string> scheduler_names() {
  std::vector<std::string> names = scheduler_flag_names();
  for (int kind = 0; kind <= static_cast<int>(SchedulerKind::lcm); ++kind) {
    names.emplace_back(scheduler_class_name(static_cast<SchedulerKind>(kind)));
  }
  return names;
}

ParsedOptions parse_options(int argc, char** argv) {
  ParsedOptions parsed;
  Options& o = parsed.options;
  CLI::App app{
      "Renders a list of prompts with a latent diffusion model, one rank per device:\n"
      "  mpirun -np 4 diffuse-batch prompts.txt"};
  app.name("diffuse-batch");
  app.option_defaults()->always_capture_default(false);
  bool version = false;
  app.add_option("prompts", o.prompts, "Prompt list, one a line (UTF-8); - reads standard input");
  app.add_option("--input-format", o.input_format,
                 "How the list is written; auto goes by its name: .jsonl .ndjson .csv .tsv, else "
                 "text")
      ->check(CLI::IsMember({"auto", "text", "jsonl", "csv", "tsv", "webui", "webui-lenient"}))
      ->capture_default_str();
  app.add_flag("--keep-going", o.keep_going,
               "Lines with mistakes count as failed pictures, and the others are rendered");
  add_model_options(app, o);
  add_picture_options(app, o);
  add_run_options(app, o);
  add_report_options(app, o);
  app.set_config("--config", "", "Read flags from FILE (key = value); the command line wins");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.add_flag("--version", version, "Print versions of the program and its libraries");
  try {
    app.parse(argc, argv);
    if (version) {
      parsed.output = version_text();
    } else {
      parsed.error = check(o);
    }
  } catch (const CLI::CallForHelp&) {
    parsed.output = app.help();
  } catch (const CLI::ParseError& error) {
    parsed.error = printable(one_line(error.what()), kMaxMessage);
  }
  return parsed;
}

}  // namespace diffuse
