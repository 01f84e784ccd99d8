#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace diffuse {

/// Everything the command line and the configuration file say; defaults are those of diffusers.
struct Options {
  std::string prompts;  ///< file, or "-" for standard input
  std::string input_format = "auto";
  bool keep_going = false;        ///< lines with mistakes are failures, and the others are rendered
  bool prompt_weighting = false;  ///< brackets of prompts are weights, as in the webui

  // Model.
  std::string model, variant, vae, tokenizer;
  std::string stage_dir;  ///< not empty: folder for a copy of the model on each node's own disk
  std::string dtype = "auto", device = "auto";

  // Pictures.
  int num_inference_steps = 50;
  double guidance_scale = 7.5;
  double guidance_rescale = 0;
  std::optional<int> clip_skip;
  std::optional<std::uint64_t> seed;
  std::string negative_prompt;
  std::optional<int> width, height;
  std::string scheduler;
  double eta = 0;
  int num_images_per_prompt = 1;
  std::string noise_source = "cpu";
  std::optional<std::uint64_t> noise_grid;

  // Run.
  std::string output_dir = "outputs";
  std::string name_pattern = "{index}-{name}";
  int shard_size = 0;  ///< pictures of one folder; 0: all in one
  std::string output_type = "png", input_type = "prompts";
  int batch_size = 0;           ///< 0: chosen
  int threads = 0;              ///< 0: all cores that this rank owns
  std::string memory = "full";  ///< or "lean": less memory, and pictures take more time
  bool fast = false;            ///< GPU: libraries' kernels by the clock, for each batch size
  std::string plans;            ///< GPU: table of libraries' kernels
  std::string tune_plans;       ///< not empty: render nothing, time kernels, add them to this table
  bool apply_padding = false;
  std::string schedule = "auto";
  int round_size = 1000;  ///< pictures, where the list is standard input
  int retries = 0;
  std::string on_error = "continue";
  bool overwrite = false;
  bool resume = false;
  int null_ms = 0;  ///< --device null: milliseconds of a stand-in picture
  bool dry_run = false;
  std::string contact_sheet, contact_sheet_labels = "prompt";
  bool gallery = false;

  // Reporting.
  std::string log_level = "info", progress = "auto", log_file;
  double progress_interval = 0;  ///< seconds; 0: the usual
  bool quiet = false;
  bool json = false;
  bool profile = false;
};

/// What parsing the command line came to.
struct ParsedOptions {
  Options options;
  std::string error;  ///< not empty: usage mistake, one line
  std::string
      output;  ///< not empty: --help or --version asked for; print this on standard output and end
};

/// Parses and checks everything that needs no file but the configuration file. Never prints or
/// throws.
ParsedOptions parse_options(int argc, char** argv);

/// All names that --scheduler takes: the short ones, then diffusers' classes.
std::vector<std::string> scheduler_names();

/// The --version text: program, commit, backends and library versions.
std::string version_text();

}  // namespace diffuse
