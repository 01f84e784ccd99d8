#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// Jobs and results as bytes, for the way between ranks.
///
/// Layout: magic (4 bytes, "DBJ" or "DBR" and a version digit), u64 number of records, the records.
/// Numbers are little-endian whatever the host is; a string is its u64 length and its bytes.
/// Unpacking checks every length before it allocates. It throws MpiError with ExitCode::launcher
/// for bytes of another version of the program, and with ExitCode::bug for damaged ones.
std::string pack_jobs(std::span<const RenderJob> jobs);
std::vector<RenderJob> unpack_jobs(std::string_view bytes);

std::string pack_results(std::span<const RenderResult> results);
std::vector<RenderResult> unpack_results(std::string_view bytes);

}  // namespace diffuse
