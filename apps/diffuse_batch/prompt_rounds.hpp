#pragma once

#include <functional>
#include <vector>

#include "apps/diffuse_batch/line_stream.hpp"
#include "apps/diffuse_batch/options.hpp"
#include "core/io/prompt_parser.hpp"
#include "mpi/communicator.hpp"

namespace diffuse {

/// The list is standard input and comes in rounds of --round-size pictures, or of what came within
/// a second: it may never end.
bool comes_in_rounds(const Options& options);

/// On root: the prompts of standard input, round by round. A line with a mistake is an entry that
/// carries it: its pictures have failed, and the others go on.
class PromptRounds {
 public:
  explicit PromptRounds(const Options& options);

  /// Waits for the next prompts; none: the input has ended, or `stop` says so. Throws
  /// InputError(bad_list) if it cannot be read, or if there was nothing in it at all.
  std::vector<PromptEntry> next(const std::function<bool()>& stop);

 private:
  LineStream lines_;
  PromptParser parser_;
  std::size_t most_;
  bool any_ = false;
};

/// Collective: the next prompts, on root, whose `rounds` are asked; the other ranks sleep. A
/// request to stop that any rank sees meanwhile ends the wait. Throws AgreedEnd, for a stop too.
std::vector<PromptEntry> wait_for_prompts(const mpi::Communicator& comm, PromptRounds* rounds);

}  // namespace diffuse
