#pragma once

#include <span>

#include "apps/diffuse_batch/run_settings.hpp"
#include "core/io/prompt_parser.hpp"
#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// How the options want the list to be read. Throws ConfigError for an unknown format.
ListRules list_rules(const Options& options);

/// What decides the jobs of a list besides its lines. `settings.base_seed` must be known.
ExpandSettings expand_settings(const RunSettings& settings);

/// Looks for what only the model can tell of the lines: sizes that its autoencoder cannot make,
/// numbers of steps that a scheduler cannot run. A line with either becomes a mistake if
/// `keep_going`, else all of them are one InputError(bad_list).
void check_lines(std::span<PromptEntry> lines, const RunSettings& settings, bool keep_going);

}  // namespace diffuse
