#pragma once

#include <filesystem>
#include <vector>

#include "apps/diffuse_batch/options.hpp"

namespace diffuse {

/// Finds out before the first picture whether the contact sheet and the gallery that `options` asks
/// for could be written. Throws InputError(bad_output).
void check_overviews(const Options& options);

/// After the run, its manifest merged: writes the contact sheet of `pictures` (in list order) and
/// the gallery, where they are asked for. Throws Error(storage).
void write_overviews(const std::vector<std::filesystem::path>& pictures, const Options& options);

}  // namespace diffuse
