#pragma once

#include <string_view>

namespace diffuse {

/// Places where the kill tests let a process die, named by the environment:
///   DIFFUSE_BATCH_FAULT=<point>:<n>
/// kills this process (SIGKILL) when it comes to that point for the n-th time. Points:
///   before-record  a picture has its final name, the manifest does not know it
///   inside-record  half a line is written
///   after-record   the line is written, the others do not know it
///   before-merge   the merged manifest is written, its name is not given yet
///   after-merge    it has its name, the shards are still there
/// Without the variable a point costs one comparison.
void fault_point(std::string_view point);

/// For points that leave something half done first: true if the process is to die here now.
bool fault_is_here(std::string_view point);

/// Ends the process as a kill does.
[[noreturn]] void die_of_fault();

}  // namespace diffuse
