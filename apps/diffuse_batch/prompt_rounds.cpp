#include "apps/diffuse_batch/prompt_rounds.hpp"

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "apps/diffuse_batch/list_rules.hpp"
#include "apps/diffuse_batch/stop.hpp"
#include "apps/diffuse_batch/together.hpp"
#include "core/base/error.hpp"

namespace diffuse {
namespace {

constexpr int kStopTag = 2;

ListRules rules_of(const Options& options) {
  ListRules rules = list_rules(options);
  rules.keep_going = true;
  return rules;
}

}  // namespace

bool comes_in_rounds(const Options& options) { return options.prompts == "-" && !options.dry_run; }

PromptRounds::PromptRounds(const Options& options)
    : lines_(STDIN_FILENO, PromptLimits{}.line_bytes),
      parser_(rules_of(options)),
      most_(static_cast<std::size_t>(
          std::max(1, options.round_size / options.num_images_per_prompt))) {}

std::vector<PromptEntry> PromptRounds::next(const std::function<bool()>& stop) {
  std::vector<PromptEntry> prompts;
  const auto take = [&](ParsedLine parsed) {
    using Kind = ParsedLine::Kind;
    if (parsed.kind == Kind::prompt || parsed.kind == Kind::mistake) {
      prompts.push_back(std::move(parsed.entry));
    }
  };
  // Blank lines alone are no round.
  while (prompts.empty() && !lines_.ended() && !stop()) {
    for (const LineStream::Line& line : lines_.next(most_, stop)) {
      take(parser_.line(line.text, line.number));
    }
    if (lines_.ended()) take(parser_.end());
  }
  any_ = any_ || !prompts.empty();
  if (!any_ && lines_.ended()) {
    throw InputError(ExitCode::bad_list,
                     "prompt list 'standard input' has no prompts, so there is nothing to render; "
                     "did the command that writes it fail?");
  }
  return prompts;
}

std::vector<PromptEntry> wait_for_prompts(const mpi::Communicator& comm, PromptRounds* rounds) {
  const auto take = [](const mpi::Message& message) {
    request_stop(static_cast<Stop>(message.bytes.front()));
  };
  std::vector<PromptEntry> prompts;
  std::exception_ptr failed;
  if (comm.is_root()) {
    try {
      prompts = rounds->next([&] {
        while (const auto message = comm.poll(kStopTag)) take(*message);
        return stop_requested() != Stop::no;
      });
    } catch (const Error&) {
      failed = std::current_exception();
    }
  }

  // The others come here at once, and tell root what they see until it is here too.
  bool told = false;
  const auto tell = [&] {
    if (told || comm.is_root() || stop_requested() == Stop::no) return;
    told = true;
    comm.post(0, kStopTag, std::string(1, static_cast<char>(stop_requested())));
  };
  while (!comm.all_through(tell)) {
  }
  for (const mpi::Message& message : comm.finish_posts(kStopTag)) take(message);
  together(comm, [&] {
    if (failed) std::rethrow_exception(failed);
    if (stop_requested() != Stop::no) throw StoppedError();
  });
  return prompts;
}

}  // namespace diffuse
