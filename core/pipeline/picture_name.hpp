#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/pipeline/render_job.hpp"

namespace diffuse {

/// The pattern of file names that a run has unless told otherwise.
inline constexpr std::string_view kDefaultNamePattern = "{index}-{name}";

/// What is wrong with a pattern of file names, as part of a message; empty: nothing.
/// A pattern is made of {index}, {seed}, {slug} and {name}, each at most once, and of at most 40
/// characters of [A-Za-z0-9._-] between them.
std::string name_pattern_problem(std::string_view pattern);

/// The name of a picture's file inside the output folder, at most 255 bytes, [A-Za-z0-9._-] only:
///   {index}  of the picture in the whole list, six digits or more
///   {seed}   of the picture
///   {slug}   of the prompt: runs of what is not [A-Za-z0-9] become one '-'; at most 60 bytes
///   {name}   that the list gives, other characters than [A-Za-z0-9._-] as '_'; at most 80 bytes
/// A part that is empty takes the separators [._-] before it along. No two pictures of a list can
/// share a name: the index stands at the start or at the end of it, apart from what is beside it,
/// and is put in front ("000041-") where the pattern has it nowhere or in the middle. Names depend
/// on the job alone, never on what is in the folder.
/// With shard_size > 0 the file lies in a folder of its own for each shard_size indices, "00012/".
std::string picture_file_name(const RenderJob& job, std::string_view pattern,
                              std::int64_t shard_size, std::string_view extension);

}  // namespace diffuse
